"""Tests of `streetlight.service.prediction_log`."""
