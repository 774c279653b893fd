"""The decorator `operation`, which parses a view's arguments and declares the view for OpenAPI.

The declaration comes from the view's type annotations and the decorator's arguments. The document
in `document` describes only views with this decorator.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, get_type_hints

from flask import Response, request

from streetlight.service.validation.request_schema import Schema, validate_query
from streetlight.service.web.request import parse_body
from streetlight.service.web.response import json_response


@dataclass(frozen=True)
class ResponseSpec:
    """One successful response of an operation.

    Attributes:
        model: the type of the JSON body; `None` if the response is never JSON.
        media_types: the other media types that the response may have, of `schemas.MEDIA_TYPES`.
        headers: the response's headers besides X-Request-ID.
        links: operations that can follow, by operationId, with the parameters that each takes from
            this response (OpenAPI runtime expressions).
        example: an example of the JSON body.
    """

    model: Any = None
    media_types: Sequence[str] = ()
    headers: Sequence[str] = ()
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    example: Any = None


@dataclass(frozen=True)
class Operation:
    """The declaration of a view; the fields are the arguments of the decorator `operation`."""

    body: Any
    body_media_types: Sequence[str]
    query: type[Schema] | None
    headers: Sequence[str]
    responses: Mapping[int, ResponseSpec]
    raises: Sequence[type[Exception]]


def operation_of(view: object) -> Operation | None:
    """Return the declaration of a view, or `None` for a view without the decorator."""
    return getattr(view, "operation", None)


def operation(
    *,
    body: Any = None,  # noqa: ANN401 - a type
    body_media_types: Sequence[str] = (),
    query: type[Schema] | None = None,
    headers: Sequence[str] = (),
    responses: Mapping[int, ResponseSpec] | None = None,
    links: Mapping[str, Mapping[str, str]] | None = None,
    example: Any = None,  # noqa: ANN401 - any JSON value
    raises: Sequence[type[Exception]] = (),
) -> Callable[[Callable[..., object]], Callable[..., Response]]:
    """Parse a view's arguments `body` and `query`, and declare the view for OpenAPI.

    The annotations of `body` and `query` are their schemas. A return value that isn't a `Response`
    is sent as JSON.

    Args:
        body: the type of a body that the view parses itself.
        body_media_types: the media types that the body may have besides JSON.
        query: the schema of a query string that the view parses itself.
        headers: the request headers that the view reads.
        responses: the successful responses by status; by default, a 200 with the return type.
        links: the links of the default response.
        example: the example of the default response.
        raises: the errors in `errors.STATUS`, and of HTTP, that the view may raise.
    """

    def decorate(view: Callable[..., object]) -> Callable[..., Response]:
        hints = get_type_hints(view, include_extras=True)
        body_schema, query_schema = hints.get("body"), hints.get("query")

        @wraps(view)
        def wrapper(**arguments: Any) -> Response:  # noqa: ANN401 - the numbers in the path
            if body_schema:
                arguments["body"] = parse_body(body_schema)
            if query_schema:
                arguments["query"] = validate_query(query_schema, request.query_string)
            result = view(**arguments)
            return result if isinstance(result, Response) else json_response(result)

        default = {200: ResponseSpec(hints["return"], links=links or {}, example=example)}
        vars(wrapper)["operation"] = Operation(
            body_schema or body,
            body_media_types,
            query_schema or query,
            headers,
            responses or default,
            raises,
        )
        return wrapper

    return decorate
