"""Writes docs/reference.md from the service's own description, by `python -m tests.reference`."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streetlight.service.config import Settings
from streetlight.service.web.factory import create_app
from streetlight.service.web.openapi import document
from streetlight.service.wiring import build_services

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"
HEAD = """\
# HTTP reference

What `GET /openapi.json` says, to be read; the server's page `/docs` has the same, to be tried. The
routes of other servers' protocols are in [protocols](protocols.md).

Every answer bears `X-Request-ID`: the one that came, or a new one. Where a field is "or null", the
default is null unless another is given. An error is a [Failure](#failure). These mean the same
everywhere, and aren't listed with each route:
"""
USUAL = document.UNREADABLE | document.TOO_LARGE | document.TOO_LONG | document.REFUSED
USUAL |= document.UNAVAILABLE
BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
    "minProperties": "at least {} of them",
    "maxProperties": "at most {} of them",
}
NAMES = {
    "number": "number",
    "integer": "whole number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
}

Json = Any


def kind(schema: Json) -> str:
    """Say what a value is to be."""
    said = NAMES.get(schema.get("type", ""), "anything")
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        said = f"[{name}](#{name.lower()})"
    elif "enum" in schema:
        said = " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    elif "anyOf" in schema:
        said = " or ".join(with_bounds(each) for each in schema["anyOf"])
    elif "prefixItems" in schema:
        said = f"list of {' and '.join(map(with_bounds, schema['prefixItems']))}"
    elif schema.get("type") == "array":
        said = f"list of {with_bounds(schema['items'])}"
    elif schema.get("type") == "object":
        said = f"object of {with_bounds(schema['additionalProperties'])} by name"
    elif schema.get("format") == "date-time":
        said = "time"
    return said


def with_bounds(schema: Json) -> str:
    """Say it with its bounds."""
    if "prefixItems" in schema:
        return kind(schema)
    bounds = [text.format(number(schema[name])) for name, text in BOUNDS.items() if name in schema]
    return ", ".join([kind(schema), *bounds])


def number(value: float) -> str:
    """Write a number as a person would."""
    return f"{int(value):,}" if value == int(value) else repr(value)


def table(names: list[str], rows: list[list[str]]) -> Iterator[str]:
    """Yield a table's lines; none where there is no row."""
    if rows:
        yield ""
        for row in [names, ["---"] * len(names), *rows]:
            yield f"| {' | '.join(row)} |"


def fields(schema: Json) -> Iterator[str]:
    """Yield a table of an object's fields."""
    required = schema.get("required", [])
    rows = []
    for name, field in schema.get("properties", {}).items():
        default = f"`{json.dumps(field['default'])}`" if field.get("default") is not None else ""
        rows.append([f"`{name}`", with_bounds(field), "required" if name in required else default])
    yield from table(["field", "what", "default"], rows)


def operation(method: str, path: str, told: Json, shared: Json) -> Iterator[str]:
    """Yield the lines on one route."""
    yield f"### {method.upper()} {path}\n"
    yield told["summary"]
    if "description" in told:
        yield f"\n{told['description']}"
    if "security" in told:
        yield "\nIt changes state: where an API key is set, it must bear it."
    source = told["x-codeSamples"][0]["source"]
    yield f"\n```\n{source}\n```"
    rows = []
    for given in told["parameters"]:
        reference = given.get("$ref", "").rpartition("/")[2]
        parameter = shared["parameters"].get(reference, given)
        default = parameter["schema"].get("default")
        note = "required" if parameter.get("required") else ""
        if default is not None:
            note = f"`{json.dumps(default)}`"
        if reference != "X-Request-ID":
            what = with_bounds(parameter["schema"])
            rows.append([f"`{parameter['name']}`", parameter["in"], what, note])
    yield from table(["parameter", "in", "what", "default"], rows)
    if "requestBody" in told:
        content = told["requestBody"]["content"]
        kinds = [kind(content["application/json"]["schema"])]
        kinds += [f"`{media}`" for media in content if media != "application/json"]
        needed = "" if told["requestBody"]["required"] else " It may be left out."
        yield f"\nBody: {', or '.join(kinds)}.{needed}"
    rows = []
    for status, answer in told["responses"].items():
        model = [
            kind(body["schema"]) if "schema" in body else f"`{media}`"
            for media, body in answer["content"].items()
        ]
        if USUAL.get(int(status)) != answer["description"]:
            rows.append([status, answer["description"], ", or ".join(model)])
    yield from table(["status", "when", "answer"], rows)
    yield ""


def reference() -> str:
    """Return the page."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(build_services(Settings(data_dir=Path(folder))))
        with app.app_context():
            description = document.describe(app)
    usual = [[str(status), meaning] for status, meaning in sorted(USUAL.items())]
    lines = [HEAD.rstrip(), *table(["status", "when"], usual), ""]
    for tag in description["tags"]:
        lines.append(f"## {tag['name'].capitalize()}\n\n{tag['description']}\n")
        for path, methods in description["paths"].items():
            for method, told in sorted(methods.items()):
                if tag["name"] in told["tags"]:
                    lines += operation(method, path, told, description["components"])
    lines.append("## What comes and goes\n")
    for name, schema in sorted(description["components"]["schemas"].items()):
        described = schema.get("description", "").partition("Attributes:")[0]
        lines += [f"### {name}\n", " ".join(described.split())]
        lines += [*fields(schema), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
