"""Tests of `streetlight.service.store`."""
