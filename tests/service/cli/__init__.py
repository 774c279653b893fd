"""Tests of `streetlight.service.cli`."""
