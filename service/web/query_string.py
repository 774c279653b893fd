"""Refuse parameters in the query string of a route that has none.

`operation` parses the query string of the other routes, and refuses what their schemas lack.
"""

from flask import Flask, current_app, request

from streetlight.service.validation.request_schema import Schema, validate_query
from streetlight.service.web.openapi.operation import operation_of

# The blueprints of files for browsers, whose addresses may end with the version of a cached file.
FILES = frozenset({"home", "docs", "tutorial"})


class NoParameters(Schema):
    """An empty query string."""


def init_app(app: Flask) -> None:
    """Check the query string of each request to `app`."""
    app.before_request(_check)


def _check() -> None:
    if not request.query_string or request.endpoint is None or request.blueprint in FILES:
        return
    operation = operation_of(current_app.view_functions[request.endpoint])
    if operation is None or operation.query is None:
        validate_query(NoParameters, request.query_string)
