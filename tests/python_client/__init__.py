"""Tests of `streetlight.client`."""
