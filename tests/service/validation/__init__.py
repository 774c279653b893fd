"""Tests of `streetlight.service.validation`."""
