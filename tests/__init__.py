"""Tests: `model/` and `service/` mirror the packages; `server.py` starts real servers."""
