"""The OpenAPI document, `/openapi.json`, which describes every route of this API.

It is generated from the routes, the docstrings of their views, and the types that the decorator
`operation` collects; the files of the pages aren't operations. `schemas` and `responses` generate
parts of it, the curl examples are built in `examples`, and `page.docs` displays the document.
"""

import re
from collections.abc import Iterator
from importlib.metadata import metadata
from inspect import getdoc
from sys import modules

from flask import Blueprint, Flask, Response
from werkzeug.routing import Rule

from streetlight.service.web.application import application, services
from streetlight.service.web.middleware.auth import needs_key, public, required_right
from streetlight.service.web.openapi import examples, responses
from streetlight.service.web.openapi.operation import (
    Operation,
    ResponseSpec,
    operation,
    operation_of,
)
from streetlight.service.web.openapi.schemas import MEDIA_TYPES, Json, Schemas, generate
from streetlight.service.web.request import MAX_ID, MAX_KEY_LENGTH
from streetlight.service.web.response import dump_json
from streetlight.service.web.static_content import StaticContent

blueprint = Blueprint("openapi", __name__)

REQUEST_HEADERS: dict[str, tuple[str, Json]] = {
    "X-Request-ID": ("The id of the request; the server generates one if none is valid.", {}),
    "Idempotency-Key": (
        "For 7 days, a request with the same key and body gets the first request's response.",
        {"maxLength": MAX_KEY_LENGTH},
    ),
    "If-None-Match": ("The `ETag` of a copy; the response is 304 if it is still current.", {}),
    "Inference-Header-Content-Length": (
        "The length of the JSON in bytes, if binary tensors follow it.",
        {"pattern": "^[0-9]{1,19}$"},
    ),
    "Last-Event-ID": ("The id of the last event received; the stream starts after it.", {}),
    "Range": ("The bytes to return, such as `bytes=0-99`.", {}),
}
# The parts of paths that aren't numbers.
TEXT_PARAMETERS: dict[str, Json] = {
    "label": {"schema": {"type": "string", "enum": ["live", "previous"]}, "example": "live"},
    "version": {"schema": {"type": "string", "pattern": "^[1-9][0-9]{0,8}$"}, "example": "1"},
}
PARAMETER = re.compile(r"<(?:(?P<converter>\w+):)?(?P<name>\w+)>")


@blueprint.get("/openapi.json")
@public
@operation(
    headers=["If-None-Match"],
    responses={
        200: ResponseSpec(Json, headers=["ETag"]),
        304: ResponseSpec(headers=["ETag"]),
    },
)
def openapi() -> Response:
    """Return the description of this API, as OpenAPI 3.1."""
    app = application()
    if app.openapi is None:
        app.openapi = StaticContent(dump_json(describe(app)) + b"\n", "application/json")
    return app.openapi.response()


def describe(app: Flask) -> Json:
    """Return the OpenAPI document of every route of `app` whose view is an operation."""
    views = app.view_functions
    rules = [
        (rule, declared)
        for rule in app.url_map.iter_rules()
        if (declared := operation_of(views[rule.endpoint]))
    ]
    schemas, definitions = generate(declared for _, declared in rules)
    errors: dict[str, Json] = {}
    paths: dict[str, Json] = {}
    tags: dict[str, Json] = {}
    for rule, declared in rules:
        view, tag = views[rule.endpoint], rule.endpoint.rpartition(".")[0] or "invocations"
        title = (modules[view.__module__].__doc__ or "").partition("\n")[0]
        tags.setdefault(tag, {"name": tag, "description": title})
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            paths.setdefault(PARAMETER.sub(r"{\g<name>}", rule.rule), {})[method.lower()] = {
                "operationId": _operation_id(rule, app),
                "tags": [tag],
                **_describe_operation(view, declared, method, rule.rule, schemas, errors=errors),
            }
    package = metadata("streetlight")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Streetlight",
            "version": package["Version"],
            "description": package["Summary"],
            "contact": {"name": "The operator of this server"},
            "license": {
                "name": package["License-Expression"],
                "identifier": package["License-Expression"],
            },
        },
        # Relative to the URL of this document, so that it also holds behind a path prefix.
        "servers": [{"url": ".", "description": "The server of this document"}],
        "security": [{"key": []}],
        "tags": list(tags.values()),
        "paths": paths,
        "components": {
            "schemas": definitions,
            "responses": errors,
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
                name: {
                    "description": text,
                    "required": name not in responses.OPTIONAL,
                    "schema": {"type": "string"},
                }
                for name, text in responses.HEADERS.items()
            },
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation_id(rule: Rule, app: Flask) -> str:
    """Return the tag and the name of the view, and the last parameter if another rule has fewer.

    Clients are generated with these names, so that to rename a view changes its clients.
    """
    tag, _, name = rule.endpoint.rpartition(".")
    others = [other for other in app.url_map.iter_rules(rule.endpoint) if other is not rule]
    if any(len(other.arguments) < len(rule.arguments) for other in others):
        name += f"_{PARAMETER.findall(rule.rule)[-1][1]}"
    elif any(other.arguments == rule.arguments for other in others):
        name = rule.rule.strip("/")
    return name if tag in name else f"{tag}_{name}"


def _describe_operation(
    view: object, operation: Operation, method: str, rule: str, schemas: Schemas, *, errors: Json
) -> Json:
    """Return the OpenAPI operation object of a view that serves `method` at the path `rule`."""
    requires_key = needs_key(method, view)
    summary, _, description = (getdoc(view) or "").partition("\n\n")
    if requires_key:
        key = f"one with the right `{required_right(method, view)}`"
        text = f"{description}\n\nIf the server has API keys, the request must send {key}."
        description = text.lstrip()
    path_parameters = list(_path_parameters(rule))
    result: Json = {"summary": summary}
    if description:
        result["description"] = description
    result["parameters"] = [
        *path_parameters,
        *_query_parameters(operation),
        *({"$ref": f"#/components/parameters/{n}"} for n in ["X-Request-ID", *operation.headers]),
    ]
    if operation.body:
        content = {"schema": schemas[operation.body, "validation"]}
        content["example"] = examples.example(operation.body)
        required = "required" in examples.json_schema(operation.body)
        media_types = {
            media: {"schema": MEDIA_TYPES[media]} for media in operation.body_media_types
        }
        result["requestBody"] = {
            "required": required,
            "content": {"application/json": content} | media_types,
        }
    result["responses"] = responses.describe(operation, requires_key, schemas, errors)
    if not requires_key:
        result["security"] = []
    values = {parameter["name"]: str(parameter["example"]) for parameter in path_parameters}
    path = PARAMETER.sub(lambda match: values[match["name"]], rule)
    curl = examples.curl(services().settings, method, path, operation, requires_key)
    result["x-codeSamples"] = [{"lang": "Shell", "label": "curl", "source": curl}]
    return result


def _path_parameters(rule: str) -> Iterator[Json]:
    for i, match in enumerate(PARAMETER.finditer(rule), 1):
        parameter = {"name": match["name"], "in": "path", "required": True}
        if match["converter"] in ("int", "version"):
            bounds = {"type": "integer", "format": "int64", "minimum": 0, "maximum": MAX_ID}
            if match["converter"] == "version":
                parameter["description"] = "The number of a version, or `live` for the live one."
            yield parameter | {"schema": bounds, "example": i}
        elif match["name"] == "model":
            name = services().settings.model_name
            yield parameter | {"schema": {"type": "string"}, "example": name}
        else:
            yield parameter | TEXT_PARAMETERS[match["name"]]


def _query_parameters(operation: Operation) -> Iterator[Json]:
    if operation.query is None:
        return
    schema = examples.json_schema(operation.query)
    for name, property_schema in schema["properties"].items():
        # A field that is null by default is a parameter that may be omitted.
        options = property_schema.get("anyOf", [property_schema])
        field = next(option for option in options if option != {"type": "null"})
        required = name in schema.get("required", [])
        parameter: Json = {"name": name, "in": "query", "required": required, "schema": field}
        if field.get("type") == "array":
            parameter |= {"style": "form", "explode": False}
        if "examples" in field:
            parameter["example"] = field["examples"][0]
        yield parameter
