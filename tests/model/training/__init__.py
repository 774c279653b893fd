"""Tests of `streetlight.model.training`."""
