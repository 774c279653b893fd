"""Tests of `streetlight.model.registry`."""
