"""The routes that clients of other model servers call."""
