"""What schemathesis is told of the server that it asks, and the description can't say.

The description holds for any version; here the live one is the lab's, which takes three lights.
"""

import itertools
import os
from typing import Any

import schemathesis
import urllib3

BEARER = {"Authorization": f"Bearer {os.environ['SCHEMATHESIS_KEY']}"}

TABLE = "^red,amber,green,outcome\\n([01],[01],[01],(walk|stop)\\n){1,9}$"

count = itertools.count()


@schemathesis.hook
def before_load_schema(_context: Any, schema: dict[str, Any]) -> None:
    """Expect three lights, in a table too, and networks of one matrix."""
    schemas, paths = schema["components"]["schemas"], schema["paths"]
    for lights in (
        schemas["PredictBody"]["properties"]["lights"],
        schemas["BatchBody"]["properties"]["lights"]["items"],
        schemas["ObservationBody"]["properties"]["lights"],
        schemas["StepBody"]["properties"]["lights"],
        paths["/predict"]["get"]["parameters"][0]["schema"],
    ):
        lights |= {"minItems": 3, "maxItems": 3}
    content = paths["/observations"]["post"]["requestBody"]["content"]
    content["text/csv"]["schema"]["pattern"] = TABLE
    row = {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 1}
    matrix = {"type": "array", "items": row, "minItems": 3, "maxItems": 3}
    schemas["NetworkBody"]["properties"]["weights"] = {
        "type": "object",
        "properties": {"weights_0_1": matrix},
        "required": ["weights_0_1"],
        "additionalProperties": False,
    }
    # No filter is asked about the values that lie on a bound, and at the least scale all overflows.
    del schemas["NetworkBody"]["properties"]["scale"]
    schemas["StepBody"]["not"] = {
        "properties": {"network": {"type": "object"}, "seed": {"type": "integer"}},
        "required": ["network", "seed"],
    }
    _spell_out_tuples(schema)


def _spell_out_tuples(node: Any) -> None:
    """Say `prefixItems` in other words: schemathesis can't compare an answer with it."""
    if isinstance(node, dict):
        if "prefixItems" in node:
            node["items"] = {"anyOf": node.pop("prefixItems")}
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            _spell_out_tuples(child)


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:
    """Leave out numbers that are so large or so small that a score overflows, or a step."""
    return _is_modest(body, 1e10 if context.operation.label == "POST /step" else 1e300)


@schemathesis.hook
def filter_query(_context: Any, query: Any) -> bool:
    """Likewise."""
    return _is_modest(query, 1e300)


def _is_modest(value: Any, most: float) -> bool:
    if isinstance(value, dict):
        return all(_is_modest(child, most) for child in value.values())
    if isinstance(value, list):
        return all(_is_modest(child, most) for child in value)
    return not isinstance(value, float) or value == 0 or 1 / most < abs(value) < most


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Cancel a job before it is followed, and let hardly an Idempotency-Key come twice.

    There is no trainer here, so a job that isn't cancelled would be followed for ever; and the same
    key with another body is a conflict, behind which nothing would be seen.
    """
    if case.headers and 0 < len(key := case.headers.get("Idempotency-Key", "")) <= 100:
        case.headers["Idempotency-Key"] = f"{key}{next(count)}"
    if case.operation.label == "GET /jobs/{number}/events":
        url = case.as_transport_kwargs()["url"].removesuffix("/events")
        urllib3.request("DELETE", url, headers=BEARER)
