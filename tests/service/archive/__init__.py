"""Tests of `streetlight.service.archive`."""
