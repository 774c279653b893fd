"""Tests of `streetlight.service.observability`."""
