"""Inference: resolve a version, decode rows of lights, compute scores, encode responses.

`scratch_network` trains a network that the client sends on one example.
"""
