"""Tests of `streetlight.service.web`."""
