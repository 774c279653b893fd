"""Operation: a view's signature says what is parsed for it, answered for it, and described of it.

What a description looks like is in `openapi`; a view that isn't marked here is left out of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, get_type_hints

from flask import Response

from streetlight.service.web.request import Schema, parse_body, parse_query
from streetlight.service.web.response import json_response


@dataclass(frozen=True)
class ResponseSpec:
    """One way to succeed.

    Attributes:
        shows: the type that the JSON is of, where there is JSON.
        also: media types that there are besides JSON.
        headers: those it bears besides X-Request-ID.
        links: which operations go on from it, and what each takes from it.
        example: of the JSON.
    """

    model: Any = None
    media_types: Sequence[str] = ()
    headers: Sequence[str] = ()
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    example: Any = None


@dataclass(frozen=True)
class Operation:
    """What is to be known of a view."""

    body: Any
    body_media_types: Sequence[str]
    query: type[Schema] | None
    headers: Sequence[str]
    responses: Mapping[int, ResponseSpec]
    raises: Sequence[type[Exception]]
    uses_storage: bool


def operation_of(view: object) -> Operation | None:
    """Return the operation that a view is marked as, if it is."""
    return getattr(view, "operation", None)


def operation(
    *,
    body: Any = None,  # noqa: ANN401 - a type
    body_media_types: Sequence[str] = (),
    headers: Sequence[str] = (),
    responses: Mapping[int, ResponseSpec] | None = None,
    links: Mapping[str, Mapping[str, str]] | None = None,
    example: Any = None,  # noqa: ANN401 - whatever is JSON
    raises: Sequence[type[Exception]] = (),
    uses_storage: bool = True,
) -> Callable[[Callable[..., object]], Callable[..., Response]]:
    """Mark a view: its arguments `body` and `query` are parsed as what they are annotated with.

    What it returns is answered as JSON, unless it makes the response itself.

    Args:
        body: the type of a body that the view parses itself.
        body_media_types: the media types that it may come as besides JSON.
        headers: those of the request that it reads.
        responses: how it may succeed, by status; a 200 of what it returns where nothing is said.
        links: of that 200.
        example: of that 200.
        raises: the errors that are its own, of those in `errors.STATUS`.
        uses_storage: whether it needs what is stored.
    """

    def mark(view: Callable[..., object]) -> Callable[..., Response]:
        hints = get_type_hints(view, include_extras=True)
        wanted_body, wanted_query = hints.get("body"), hints.get("query")

        @wraps(view)
        def parsed(**arguments: Any) -> Response:  # noqa: ANN401 - what is in the path
            if wanted_body:
                arguments["body"] = parse_body(wanted_body)
            if wanted_query:
                arguments["query"] = parse_query(wanted_query)
            told = view(**arguments)
            return told if isinstance(told, Response) else json_response(told)

        usual = {200: ResponseSpec(hints["return"], links=links or {}, example=example)}
        vars(parsed)["operation"] = Operation(
            wanted_body or body,
            body_media_types,
            wanted_query,
            headers,
            responses or usual,
            raises,
            uses_storage,
        )
        return parsed

    return mark
