"""OpenAPI: `/openapi.json` describes every route whose view is an `operation`.

It is put together from the routes, the views' docstrings and their types, so that nothing is said
twice. What to try is in `examples`, the page that shows it all in `docs`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from importlib.metadata import metadata
from inspect import getdoc
from sys import modules
from typing import Any, Literal

from flask import Blueprint, Flask, Response, current_app
from pydantic import TypeAdapter

from streetlight.service.web.application import services
from streetlight.service.web.middleware.auth import changes_state
from streetlight.service.web.middleware.errors import STATUS, ErrorResponse
from streetlight.service.web.openapi import examples
from streetlight.service.web.openapi.operation import Operation, ResponseSpec, operation_of
from streetlight.service.web.request import MAX_ID, MAX_KEY_LENGTH
from streetlight.service.web.response import json_response

blueprint = Blueprint("openapi", __name__)

Json = dict[str, Any]
Schemas = dict[tuple[Any, Literal["validation", "serialization"]], Json]

REQUEST_HEADERS: dict[str, tuple[str, Json]] = {
    "X-Request-ID": ("What this request is to be called; made up where nothing fit came.", {}),
    "Idempotency-Key": (
        "The same key gets the same answer for a week.",
        {"maxLength": MAX_KEY_LENGTH},
    ),
    "Last-Event-ID": ("The id of the last event that was seen; what is newer is told.", {}),
}
RESPONSE_HEADERS = {
    "X-Request-ID": "What this request is called.",
    "Location": "Where to look at what was asked for.",
    "Content-Disposition": "What the file is called.",
    "WWW-Authenticate": "What is missing.",
}
UNREADABLE = {400: "What came can't be understood; it says where."}
TOO_LARGE = {413: "The body is larger than the settings allow."}
TOO_LONG = {414: "The address is longer than the 4094 bytes that a request line may have."}
REFUSED = {
    401: "It doesn't bear the API key, where the settings have one.",
    403: "A page of another origin may not change state.",
}
UNAVAILABLE = {503: "The data directory or the database can't be used."}


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Describe every operation, as OpenAPI 3.1."""
    extensions = current_app.extensions
    if "openapi" not in extensions:
        extensions["openapi"] = describe(current_app)
    return json_response(extensions["openapi"])


def describe(app: Flask) -> Json:
    """Return the description of every route of `app` whose view is an operation."""
    views = app.view_functions
    described = [
        (rule, operation)
        for rule in app.url_map.iter_rules()
        if (operation := operation_of(views[rule.endpoint]))
    ]
    schemas, shared = _schemas(operation for _, operation in described)
    paths: dict[str, Json] = {}
    tags: dict[str, Json] = {}
    for rule, operation in described:
        view, (tag, _, name) = views[rule.endpoint], rule.endpoint.partition(".")
        title = (modules[view.__module__].__doc__ or "").partition("\n")[0]
        tags[tag] = {"name": tag, "description": title.partition(": ")[2]}
        path = re.sub("<int:(.*?)>", r"{\1}", rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            paths.setdefault(path, {})[method.lower()] = {
                "operationId": name if tag in name else f"{tag}_{name}",
                "tags": [tag],
                **_operation(view, operation, method, path, schemas),
            }
    about = metadata("streetlight")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Streetlight",
            "version": about["Version"],
            "description": about["Summary"],
        },
        "servers": [{"url": "./", "description": "where this description is"}],
        "tags": list(tags.values()),
        "paths": paths,
        "components": {
            "schemas": shared["$defs"],
            "parameters": {
                name: {
                    "name": name,
                    "in": "header",
                    "description": text,
                    "schema": {"type": "string", **bounds},
                }
                for name, (text, bounds) in REQUEST_HEADERS.items()
            },
            "headers": {
                name: {"description": text, "required": True, "schema": {"type": "string"}}
                for name, text in RESPONSE_HEADERS.items()
            },
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas(described: Iterable[Operation]) -> tuple[Schemas, Json]:
    """Return the schema of each type that comes or goes, and those that they share."""
    kinds: Schemas = {(ErrorResponse, "serialization"): {}}
    for operation in described:
        if operation.body:
            kinds[operation.body, "validation"] = {}
        for reply in operation.responses.values():
            if reply.model:
                kinds[reply.model, "serialization"] = {}
    return TypeAdapter.json_schemas(
        [(kind, mode, TypeAdapter(kind)) for kind, mode in kinds],
        ref_template="#/components/schemas/{model}",
    )


def _operation(
    view: object, operation: Operation, method: str, path: str, schemas: Schemas
) -> Json:
    """Return what there is to say of a view, called by `method` at `path`."""
    guarded = changes_state(method, view)
    numbers = re.findall("{(.*?)}", path)
    summary, _, more = (getdoc(view) or "").partition("\n\n")
    told: Json = {"summary": summary}
    if more:
        told["description"] = more
    told["parameters"] = [
        *(_path_parameter(name, i) for i, name in enumerate(numbers, 1)),
        *_query_parameters(operation),
        *({"$ref": f"#/components/parameters/{n}"} for n in ["X-Request-ID", *operation.headers]),
    ]
    if operation.body:
        content = {"schema": schemas[operation.body, "validation"]}
        content["example"] = examples.example(operation.body)
        required = "required" in examples.fields_of(operation.body)
        media_types = {
            media: {"schema": {"type": "string"}} for media in operation.body_media_types
        }
        told["requestBody"] = {
            "required": required,
            "content": {"application/json": content} | media_types,
        }
    responses = _failures(operation, guarded, schemas) | {
        status: _success(status, reply, schemas) for status, reply in operation.responses.items()
    }
    told["responses"] = {str(status): responses[status] for status in sorted(responses)}
    if guarded:
        told["security"] = [{"key": []}]
    tried = path.format(**{name: i for i, name in enumerate(numbers, 1)})
    curl = examples.curl(services().settings, method, tried, operation, guarded)
    told["x-codeSamples"] = [{"lang": "Shell", "label": "curl", "source": curl}]
    return told


def _path_parameter(name: str, example: int) -> Json:
    bounds = {"type": "integer", "minimum": 0, "maximum": MAX_ID}
    return {"name": name, "in": "path", "required": True, "schema": bounds, "example": example}


def _query_parameters(operation: Operation) -> Iterator[Json]:
    if operation.query is None:
        return
    schema = examples.fields_of(operation.query)
    for name, described in schema["properties"].items():
        # What may be null in Python is left out of a query.
        kinds = described.get("anyOf", [described])
        field = next(kind for kind in kinds if kind != {"type": "null"})
        required = name in schema.get("required", [])
        yield {"name": name, "in": "query", "required": required, "schema": field} | (
            {"style": "form", "explode": False} if field.get("type") == "array" else {}
        )


def _success(status: int, reply: ResponseSpec, schemas: Schemas) -> Json:
    content: Json = {}
    if reply.model:
        content["application/json"] = {"schema": schemas[reply.model, "serialization"]}
        if reply.example:
            content["application/json"]["example"] = reply.example
    content |= {media: {} for media in reply.media_types}
    told = {"description": HTTPStatus(status).phrase, "headers": _headers(reply.headers)}
    links = {
        name: {"operationId": name, "parameters": dict(taken)}
        for name, taken in reply.links.items()
    }
    return told | {"content": content} | ({"links": links} if links else {})


def _failures(operation: Operation, guarded: bool, schemas: Schemas) -> dict[int, Json]:
    told: dict[int, list[str]] = {}
    for possible, reasons in (
        (operation.body or operation.query, UNREADABLE),
        (operation.body, TOO_LARGE),
        (operation.query, TOO_LONG),
        (guarded, REFUSED),
        (operation.uses_storage, UNAVAILABLE),
        *((True, {STATUS[error]: getdoc(error) or ""}) for error in operation.raises),
    ):
        for status, reason in reasons.items() if possible else ():
            told.setdefault(status, []).append(reason.partition("\n")[0])
    return {
        status: {
            "description": " ".join(reasons),
            "headers": _headers(["WWW-Authenticate"] if status == 401 else []),
            "content": {"application/json": {"schema": schemas[ErrorResponse, "serialization"]}},
        }
        for status, reasons in told.items()
    }


def _headers(more: Sequence[str]) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ["X-Request-ID", *more]}
