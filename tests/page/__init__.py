"""Tests of the demonstration page with a real browser and a real server."""
