"""Tests of `streetlight.service.learning`."""
