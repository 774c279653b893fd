"""Inference: resolve a version, decode rows of lights, compute scores, encode responses.

`scratch_network` and `scratch_training` train a network that the client holds.
"""
