"""The wire formats of inference: decode rows of lights from requests, and encode results."""
