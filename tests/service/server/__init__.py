"""Tests of `streetlight.service.server`."""
