"""Hooks of schemathesis for constraints of the test server that the OpenAPI document doesn't have.

The document describes any version; the live one of the test server takes three lights.
"""

import itertools
import os
from typing import Any

import schemathesis
import urllib3

BEARER = {"Authorization": f"Bearer {os.environ['SCHEMATHESIS_KEY']}"}

CSV_PATTERN = "^red,amber,green,outcome\\n([01],[01],[01],(walk|stop)\\n){1,9}$"

count = itertools.count()


@schemathesis.hook
def before_load_schema(_context: Any, schema: dict[str, Any]) -> None:
    """Restrict requests to three lights, also in CSV, and to networks of one matrix."""
    schemas, paths = schema["components"]["schemas"], schema["paths"]
    for lights in (
        schemas["PredictBody"]["properties"]["lights"],
        schemas["ExplainBody"]["properties"]["lights"],
        schemas["BatchBody"]["properties"]["lights"]["items"],
        schemas["ObservationBody"]["properties"]["lights"],
        schemas["StepBody"]["properties"]["lights"],
        paths["/predict"]["get"]["parameters"][0]["schema"],
    ):
        lights |= {"minItems": 3, "maxItems": 3}
    content = paths["/observations"]["post"]["requestBody"]["content"]
    content["text/csv"]["schema"]["pattern"] = CSV_PATTERN
    row = {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 1}
    matrix = {"type": "array", "items": row, "minItems": 3, "maxItems": 3}
    schemas["NetworkBody"]["properties"]["weights"] = {
        "type": "object",
        "properties": {"weights_0_1": matrix},
        "required": ["weights_0_1"],
        "additionalProperties": False,
    }
    # Schemathesis doesn't filter boundary values, and at the lowest scale every score overflows.
    del schemas["NetworkBody"]["properties"]["scale"]
    # Without a seed, a step has no hidden layers of its own.
    for field in ("hidden_sizes", "activation"):
        del schemas["StepBody"]["properties"][field]
    schemas["StepBody"]["not"] = {
        "properties": {"network": {"type": "object"}, "seed": {"type": "integer"}},
        "required": ["network", "seed"],
    }
    # Schemathesis checks each event by the schema, which the document has for the whole stream.
    text = {"type": "string"}
    event = {"type": "object", "properties": {"event": text, "data": text}, "required": ["event"]}
    for path in ("/events", "/jobs/{number}/events"):
        content = paths[path]["get"]["responses"]["200"]["content"]
        content["text/event-stream"]["schema"] = event
    _replace_prefix_items(schema)


def _replace_prefix_items(node: Any) -> None:
    """Replace `prefixItems`, which schemathesis can't check in a response, by `items`."""
    if isinstance(node, dict):
        if "prefixItems" in node:
            node["items"] = {"anyOf": node.pop("prefixItems")}
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            _replace_prefix_items(child)


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:
    """Exclude numbers so large or so small that a score or a step overflows."""
    return _in_range(body, 1e10 if context.operation.label == "POST /step" else 1e300)


@schemathesis.hook
def filter_query(_context: Any, query: Any) -> bool:
    """Exclude numbers so large or so small that a score overflows."""
    return _in_range(query, 1e300)


def _in_range(value: Any, limit: float) -> bool:
    if isinstance(value, dict):
        return all(_in_range(child, limit) for child in value.values())
    if isinstance(value, list):
        return all(_in_range(child, limit) for child in value)
    return not isinstance(value, float) or value == 0 or 1 / limit < abs(value) < limit


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Cancel a job before its events are requested, and make short Idempotency-Keys unique.

    No trainer runs, so the event stream of a job that isn't cancelled never ends. A repeated key
    with another body is a conflict, which would hide other responses.
    """
    if case.headers and 0 < len(key := case.headers.get("Idempotency-Key", "")) <= 100:
        case.headers["Idempotency-Key"] = f"{key}{next(count)}"
    if case.operation.label == "GET /jobs/{number}/events":
        url = case.as_transport_kwargs()["url"].removesuffix("/events")
        urllib3.request("DELETE", url, headers=BEARER)
