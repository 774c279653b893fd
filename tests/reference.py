"""Write docs/reference.md from the OpenAPI document of the service: `python -m tests.reference`."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streetlight.service.config.settings import Settings
from streetlight.service.web.factory import create_app
from streetlight.service.web.openapi import document, responses
from streetlight.service.wiring import build_services

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"
HEAD = """\
# HTTP reference

This page is generated from the OpenAPI document at `GET /openapi.json`. The page `/docs` of a
running server shows the same, and can send requests. [Protocols](protocols.md) describes the routes
for clients of other model servers.

Every response has the header `X-Request-ID`: the request's, or a generated one. It also has
`X-Content-Type-Options: nosniff`, and `Cache-Control: no-store`, or `no-cache` and an `ETag` for
files. Documents, lists and exports are compressed for clients that accept gzip or deflate. The
default of a field that may be null is null, unless the table gives another. The body of an error is
an [ErrorResponse](#errorresponse).

Every list comes in pages of `limit` entries, 100 unless the request gives another number. To get
the next page, send the `next` of this one as `after`; `next` is null on the last page, which may be
empty. Jobs and versions are listed from the newest on, hosts by name, all other entries from the
oldest on. In every path of a version, `live` stands for the number of the live one. An unknown
parameter in the query string is an error.

These statuses have the same meaning for every route, and the
tables of the routes leave them out:
"""
GENERATE = """\

## Generate a client

Generators of clients read the document from a running server. Each of these is tested:
`.ci/openapi` generates a client, and lets it call every operation.

```
curl -O http://127.0.0.1:8000/openapi.json
openapi-python-client generate --path openapi.json --meta none
openapi-typescript openapi.json --default-non-nullable false --output schema.d.ts
openapi-generator-cli generate --generator-name java --library native --input-spec openapi.json \\
  --additional-properties openApiNullable=false
```

- The functions have the name of the `operationId`, which each route below gives.
- The client of openapi-python-client sends JSON where a body may also be CSV, and so does that of
  openapi-generator. A client for a stream returns at its end: follow `/events` with a client of
  server-sent events instead.
- `--default-non-nullable false`: otherwise the types of openapi-typescript require each field that
  has a default. The types are for the client `openapi-fetch`.
- `openApiNullable=false`: otherwise the Java client needs one more library.
- Set the base URL: the document names its server relative to its own URL, so that the page `/docs`
  also works behind a path prefix.
"""
BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minLength": "{} or more characters",
    "maxLength": "at most {} characters",
    "minItems": "{} or more items",
    "maxItems": "at most {} items",
    "minProperties": "{} or more names",
    "maxProperties": "at most {} names",
}
TYPES = {
    "number": "number",
    "integer": "whole number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
}

Json = Any


def type_name(schema: Json) -> str:
    """Return the type of a JSON schema as text, without the bounds of the schema itself."""
    text = TYPES.get(schema.get("type", ""), "any value")
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        text = f"[{name}](#{name.lower()})"
    elif "enum" in schema:
        text = " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    elif "anyOf" in schema:
        text = " or ".join(map(nested, schema["anyOf"]))
    elif "prefixItems" in schema:
        text = f"list of {' and '.join(map(nested, schema['prefixItems']))}"
    elif schema.get("type") == "array":
        text = f"list of {nested(schema['items'])}"
    elif schema.get("additionalProperties") is True:
        text = "object"
    elif schema.get("type") == "object":
        text = f"object of {nested(schema['additionalProperties'])} by name"
    elif schema.get("format") == "date-time":
        text = "time"
    return text


def with_bounds(schema: Json) -> str:
    """Return the type of a JSON schema as text, followed by its bounds."""
    if "prefixItems" in schema:
        return type_name(schema)
    bounds = [text.format(number(schema[name])) for name, text in BOUNDS.items() if name in schema]
    if "minItems" in schema and schema["minItems"] == schema.get("maxItems"):
        bounds = [f"exactly {schema['minItems']} items"]
    return ", ".join([type_name(schema), *bounds])


def nested(schema: Json) -> str:
    """Return what `with_bounds` returns, in parentheses if the schema has bounds."""
    text = with_bounds(schema)
    return text if text == type_name(schema) else f"({text})"


def number(value: float) -> str:
    """Return a number with thousands separators if it is whole."""
    return f"{int(value):,}" if value == int(value) else repr(value)


def table(names: list[str], rows: list[list[str]]) -> Iterator[str]:
    """Yield the lines of a Markdown table, none without rows."""
    if rows:
        yield ""
        for row in [names, ["---"] * len(names), *rows]:
            yield f"| {' | '.join(row)} |"


def field_table(schema: Json) -> Iterator[str]:
    """Yield a table of an object's fields."""
    required = schema.get("required", [])
    rows = []
    for name, field in schema.get("properties", {}).items():
        default = f"`{json.dumps(field['default'])}`" if field.get("default") is not None else ""
        rows.append([f"`{name}`", with_bounds(field), "required" if name in required else default])
    yield from table(["field", "type", "default"], rows)


def route_section(method: str, path: str, operation: Json, components: Json) -> Iterator[str]:
    """Yield the lines of the section of one route."""
    yield f"### {method.upper()} {path}\n"
    yield f"{operation['summary']} Its `operationId` is `{operation['operationId']}`."
    if "description" in operation:
        yield f"\n{operation['description']}"
    source = operation["x-codeSamples"][0]["source"]
    yield f"\n```\n{source}\n```"
    rows = []
    for entry in operation["parameters"]:
        reference = entry.get("$ref", "").rpartition("/")[2]
        parameter = components["parameters"].get(reference, entry)
        default = parameter["schema"].get("default")
        note = "required" if parameter.get("required") else ""
        if default is not None:
            note = f"`{json.dumps(default)}`"
        if reference != "X-Request-ID":
            text = with_bounds(parameter["schema"])
            if "description" in parameter:
                text += f". {parameter['description']}"
            rows.append([f"`{parameter['name']}`", parameter["in"], text, note])
    yield from table(["parameter", "in", "type", "default"], rows)
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]
        types = [type_name(content["application/json"]["schema"])]
        types += [f"`{media}`" for media in content if media != "application/json"]
        note = "" if operation["requestBody"]["required"] else " The body is optional."
        yield f"\nBody: {', or '.join(types)}.{note}"
    rows = []
    for status, declared in operation["responses"].items():
        response = declared
        if name := declared.get("$ref", "").rpartition("/")[2]:
            response = components["responses"][name]
        if is_common(status, response):
            continue  # the first table has it
        types = [
            type_name(body["schema"]) if media == "application/json" else f"`{media}`"
            for media, body in response.get("content", {}).items()
        ]
        rows.append([status, response["description"], ", or ".join(types)])
    yield from table(["status", "meaning", "body"], rows)
    yield ""


def is_common(status: str, response: Json) -> bool:
    """Return whether a status has the same meaning for every route."""
    error = responses.COMMON.get(int(status))
    return error is not None and error.reason == response["description"]


def reference() -> str:
    """Return the text of docs/reference.md."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(build_services(Settings(data_dir=Path(folder))))
        with app.app_context():
            openapi = document.describe(app)
    common = [[str(status), error.reason] for status, error in sorted(responses.COMMON.items())]
    lines = [HEAD.rstrip(), *table(["status", "meaning"], common), GENERATE]
    for tag in openapi["tags"]:
        lines.append(f"## {tag['name'].capitalize()}\n\n{tag['description']}\n")
        for path, methods in openapi["paths"].items():
            for method, operation in sorted(methods.items()):
                if tag["name"] in operation["tags"]:
                    lines += route_section(method, path, operation, openapi["components"])
    lines.append("## Request and response bodies\n")
    for name, schema in sorted(openapi["components"]["schemas"].items()):
        description = schema.get("description", "").partition("Attributes:")[0]
        lines += [f"### {name}\n", " ".join(description.split())]
        lines += [*field_table(schema), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
