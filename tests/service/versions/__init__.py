"""Tests of `streetlight.service.versions`."""
