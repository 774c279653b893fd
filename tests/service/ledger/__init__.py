"""Tests of `streetlight.service.ledger`."""
