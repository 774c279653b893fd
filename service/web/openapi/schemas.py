"""JSON schemas of the types of bodies and responses, in the form that client generators read.

`responses` and `document` refer to them.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import TypeAdapter

from streetlight.service.web.middleware.errors import ErrorResponse
from streetlight.service.web.openapi.operation import Operation

Json = dict[str, Any]
Schemas = dict[tuple[Any, Literal["validation", "serialization"]], Json]

TEXT = {"type": "string"}
# The schemas of bodies that aren't JSON.
MEDIA_TYPES: dict[str, Json] = {
    "application/octet-stream": TEXT | {"format": "binary"},
    "application/x-ndjson": TEXT | {"description": "Each line is a JSON object."},
    "text/csv": TEXT | {"description": "Lines of values, separated by commas."},
    # Without `contentMediaType`, generated Java clients parse the stream as JSON.
    "text/event-stream": {
        **TEXT,
        "contentMediaType": "application/octet-stream",
        "description": "Server-sent events, whose data is JSON.",
    },
    "text/html": TEXT,
    "text/plain": TEXT,
}


def generate(operations: Iterable[Operation]) -> tuple[Schemas, Json]:
    """Return the schema of each body and response type, and the definitions that they share."""
    models = dict.fromkeys([(ErrorResponse, "serialization"), *_models(operations)])
    schemas, shared = TypeAdapter.json_schemas(
        [(model, mode, TypeAdapter(model)) for model, mode in models],
        ref_template="#/components/schemas/{model}",
    )
    _complete([*schemas.values(), shared])
    return schemas, shared["$defs"]


def _complete(schema: Any) -> None:  # noqa: ANN401 - a part of a schema
    """Add what generators of clients need: `items` beside `prefixItems`, and the size of integers.

    Without `format`, they take integers to have 32 bits.
    """
    if isinstance(schema, dict):
        types = list(dict.fromkeys(item["type"] for item in schema.get("prefixItems", [])))
        if len(types) == 1:
            del schema["prefixItems"]
        if set(types) == {"integer", "number"}:
            types = ["number"]
        if types:
            items = [{"type": kind} for kind in types]
            schema["items"] = items[0] if len(items) == 1 else {"anyOf": items}
        if schema.get("type") == "integer":
            schema["format"] = "int64"
        schema = list(schema.values())
    for part in schema if isinstance(schema, list) else ():
        _complete(part)


def _models(operations: Iterable[Operation]) -> Iterator[tuple[Any, Any]]:
    for operation in operations:
        if operation.body:
            yield operation.body, "validation"
        for response in operation.responses.values():
            if response.model:
                yield response.model, "serialization"
