"""Tests of the service: of single modules, of the application, and of servers over HTTP."""
