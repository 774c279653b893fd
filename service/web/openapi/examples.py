"""Examples: what to try, put together from the examples that the schemas have for their fields."""

import json
from shlex import quote
from typing import Any, get_args
from urllib.parse import urlencode

from pydantic import TypeAdapter

from streetlight.service.config import PREFIX, Settings
from streetlight.service.web.openapi.operation import Operation


def fields_of(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - a type
    """Return the JSON schema of a body or a query; of the first kind, where there are several."""
    return TypeAdapter((get_args(kind) or [kind])[0]).json_schema()


def example(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - a type
    """Return a body or a query with those of its fields that have an example."""
    fields = fields_of(kind)["properties"]
    return {name: field["examples"][0] for name, field in fields.items() if "examples" in field}


def curl(
    settings: Settings, method: str, path: str, operation: Operation, changes_state: bool
) -> str:
    """Return a line that can be pasted where the server runs; `path` has its numbers."""
    url = f"http://127.0.0.1:{settings.port}{path}"
    if operation.query and (query := example(operation.query)):
        listed = {name: ",".join(map(str, value)) for name, value in query.items()}
        url += "?" + urlencode(listed, safe=",")
    body = example(operation.body) if operation.body else None
    words = ["curl"]
    if method == "POST" and not body:
        words.append("-X POST")
    elif method not in ("GET", "POST"):
        words.append(f"-X {method}")
    if any("text/event-stream" in reply.media_types for reply in operation.responses.values()):
        words.append("-N")
    if any("Content-Disposition" in reply.headers for reply in operation.responses.values()):
        words.append("-OJ")
    words.append(quote(url))
    if body:
        words.append(f"-d {quote(json.dumps(body))}")
    if changes_state and settings.api_key:
        words.append(f'-H "Authorization: Bearer ${PREFIX}API_KEY"')
    return " ".join(words)
