"""Tests of the page, as a person sees and works it: a real browser on a real server."""
