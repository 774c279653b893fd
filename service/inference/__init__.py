"""Inference: resolve a version, decode rows of lights, compute scores, encode responses."""
