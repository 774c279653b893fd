"""Tests of `streetlight.service.registry`."""
