"""Tests of the service, most of them over HTTP against a real gunicorn."""
