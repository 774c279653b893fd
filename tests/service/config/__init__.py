"""Tests of `streetlight.service.config`."""
