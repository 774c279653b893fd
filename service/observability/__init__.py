"""Metrics and log records of the running processes."""
