"""The OpenAPI document, `/openapi.json`, which describes every route of this API.

It is generated from the routes, the docstrings of their views, and the types that the decorator
`operation` collects. The curl examples are built in `examples`; `page.docs` displays the document.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from importlib.metadata import metadata
from inspect import getdoc
from sys import modules
from typing import Any, Literal

from flask import Blueprint, Flask, Response
from pydantic import TypeAdapter

from streetlight.service.web.application import application, services
from streetlight.service.web.middleware.auth import needs_key, public
from streetlight.service.web.middleware.errors import STATUS, ErrorResponse
from streetlight.service.web.openapi import examples
from streetlight.service.web.openapi.operation import Operation, ResponseSpec, operation_of
from streetlight.service.web.request import MAX_ID, MAX_KEY_LENGTH
from streetlight.service.web.response import json_response

blueprint = Blueprint("openapi", __name__)

Json = dict[str, Any]
Schemas = dict[tuple[Any, Literal["validation", "serialization"]], Json]

REQUEST_HEADERS: dict[str, tuple[str, Json]] = {
    "X-Request-ID": ("The id of the request; the server generates one if none is valid.", {}),
    "Idempotency-Key": (
        "For 7 days, a request with the same key and body gets the first request's response.",
        {"maxLength": MAX_KEY_LENGTH},
    ),
    "Last-Event-ID": ("The id of the last event received; the stream starts after it.", {}),
}
RESPONSE_HEADERS = {
    "X-Request-ID": "The id of the request: the client's, or a generated one.",
    "Location": "The address of the created job or observation, relative to that of the request.",
    "Content-Disposition": "The name of the file.",
    "WWW-Authenticate": "The authentication scheme, `Bearer`.",
}
INVALID = {400: "The request is invalid; the message names the field and what was expected."}
TOO_LARGE = {413: "The body, as sent or decompressed, is larger than the server's limit."}
TOO_LONG = {414: "The request line is longer than 4094 bytes."}
UNAUTHORIZED = {
    401: "The server has an API key, and the request doesn't send it.",
    403: "The request was sent by a page of another origin.",
}
UNAVAILABLE = {503: "The data directory or the database can't be used."}


@blueprint.get("/openapi.json")
@public
def openapi() -> Response:
    """Return the description of this API, as OpenAPI 3.1."""
    app = application()
    if app.openapi is None:
        app.openapi = describe(app)
    return json_response(app.openapi)


def describe(app: Flask) -> Json:
    """Return the OpenAPI document of every route of `app` whose view is an operation."""
    views = app.view_functions
    rules = [
        (rule, operation)
        for rule in app.url_map.iter_rules()
        if (operation := operation_of(views[rule.endpoint]))
    ]
    schemas, shared = _schemas(operation for _, operation in rules)
    paths: dict[str, Json] = {}
    tags: dict[str, Json] = {}
    for rule, operation in rules:
        view, (tag, _, name) = views[rule.endpoint], rule.endpoint.partition(".")
        title = (modules[view.__module__].__doc__ or "").partition("\n")[0]
        tags[tag] = {"name": tag, "description": title}
        path = re.sub("<int:(.*?)>", r"{\1}", rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            paths.setdefault(path, {})[method.lower()] = {
                "operationId": name if tag in name else f"{tag}_{name}",
                "tags": [tag],
                **_describe_operation(view, operation, method, path, schemas),
            }
    package = metadata("streetlight")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Streetlight",
            "version": package["Version"],
            "description": package["Summary"],
        },
        "servers": [{"url": "./", "description": "the server of this document"}],
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


def _schemas(operations: Iterable[Operation]) -> tuple[Schemas, Json]:
    """Return the schema of each body and response type, and the definitions that they share."""
    models: Schemas = {(ErrorResponse, "serialization"): {}}
    for operation in operations:
        if operation.body:
            models[operation.body, "validation"] = {}
        for response in operation.responses.values():
            if response.model:
                models[response.model, "serialization"] = {}
    return TypeAdapter.json_schemas(
        [(model, mode, TypeAdapter(model)) for model, mode in models],
        ref_template="#/components/schemas/{model}",
    )


def _describe_operation(
    view: object, operation: Operation, method: str, path: str, schemas: Schemas
) -> Json:
    """Return the OpenAPI operation object of a view that serves `method` at `path`."""
    requires_key = needs_key(method, view)
    numbers = re.findall("{(.*?)}", path)
    summary, _, description = (getdoc(view) or "").partition("\n\n")
    result: Json = {"summary": summary}
    if description:
        result["description"] = description
    result["parameters"] = [
        *(_path_parameter(name, i) for i, name in enumerate(numbers, 1)),
        *_query_parameters(operation),
        *({"$ref": f"#/components/parameters/{n}"} for n in ["X-Request-ID", *operation.headers]),
    ]
    if operation.body:
        content = {"schema": schemas[operation.body, "validation"]}
        content["example"] = examples.example(operation.body)
        required = "required" in examples.json_schema(operation.body)
        media_types = {
            media: {"schema": {"type": "string"}} for media in operation.body_media_types
        }
        result["requestBody"] = {
            "required": required,
            "content": {"application/json": content} | media_types,
        }
    responses = _error_responses(operation, requires_key, schemas) | {
        status: _response(status, response, schemas)
        for status, response in operation.responses.items()
    }
    result["responses"] = {str(status): responses[status] for status in sorted(responses)}
    if requires_key:
        result["security"] = [{"key": []}]
    example_path = path.format(**{name: i for i, name in enumerate(numbers, 1)})
    curl = examples.curl(services().settings, method, example_path, operation, requires_key)
    result["x-codeSamples"] = [{"lang": "Shell", "label": "curl", "source": curl}]
    return result


def _path_parameter(name: str, example: int) -> Json:
    bounds = {"type": "integer", "minimum": 0, "maximum": MAX_ID}
    return {"name": name, "in": "path", "required": True, "schema": bounds, "example": example}


def _query_parameters(operation: Operation) -> Iterator[Json]:
    if operation.query is None:
        return
    schema = examples.json_schema(operation.query)
    for name, property_schema in schema["properties"].items():
        # A field that is null by default is a parameter that may be omitted.
        options = property_schema.get("anyOf", [property_schema])
        field = next(option for option in options if option != {"type": "null"})
        required = name in schema.get("required", [])
        yield {"name": name, "in": "query", "required": required, "schema": field} | (
            {"style": "form", "explode": False} if field.get("type") == "array" else {}
        )


def _response(status: int, response: ResponseSpec, schemas: Schemas) -> Json:
    content: Json = {}
    if response.model:
        content["application/json"] = {"schema": schemas[response.model, "serialization"]}
        if response.example:
            content["application/json"]["example"] = response.example
    content |= {media: {} for media in response.media_types}
    result = {"description": HTTPStatus(status).phrase, "headers": _headers(response.headers)}
    links = {
        name: {"operationId": name, "parameters": dict(parameters)}
        for name, parameters in response.links.items()
    }
    return result | {"content": content} | ({"links": links} if links else {})


def _error_responses(operation: Operation, requires_key: bool, schemas: Schemas) -> dict[int, Json]:
    descriptions: dict[int, list[str]] = {}
    for possible, reasons in (
        (operation.body or operation.query, INVALID),
        (operation.body, TOO_LARGE),
        (operation.query, TOO_LONG),
        (requires_key, UNAUTHORIZED),
        (operation.uses_storage, UNAVAILABLE),
        *((True, {STATUS[error]: getdoc(error) or ""}) for error in operation.raises),
    ):
        for status, reason in reasons.items() if possible else ():
            descriptions.setdefault(status, []).append(reason.partition("\n")[0])
    return {
        status: {
            "description": " ".join(reasons),
            "headers": _headers(["WWW-Authenticate"] if status == 401 else []),
            "content": {"application/json": {"schema": schemas[ErrorResponse, "serialization"]}},
        }
        for status, reasons in descriptions.items()
    }


def _headers(names: Sequence[str]) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ["X-Request-ID", *names]}
