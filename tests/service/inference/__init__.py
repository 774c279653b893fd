"""Tests of `streetlight.service.inference`."""
