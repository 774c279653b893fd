"""Build example bodies and curl lines from the examples of the schemas' fields."""

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from shlex import quote
from typing import Any, get_args
from urllib.parse import urlencode

from pydantic import TypeAdapter

from streetlight.service.config.settings import PREFIX, Settings
from streetlight.service.validation.problems import RequestError
from streetlight.service.validation.request_schema import Schema, validate_body, validate_query
from streetlight.service.web.openapi.operation import Operation


def json_schema(model: Any) -> dict[str, Any]:  # noqa: ANN401 - a type
    """Return the JSON schema of a body or query type; of the first type of a union."""
    return TypeAdapter((get_args(model) or [model])[0]).json_schema()


def example(model: Any) -> dict[str, Any]:  # noqa: ANN401 - a type
    """Return an example of a body or query type, with the fields that have an example."""
    fields = json_schema(model)["properties"]
    return {name: field["examples"][0] for name, field in fields.items() if "examples" in field}


def invalid(operation: Operation) -> dict[str, Any] | None:
    """Return the error response to a request without a required field, or with an unknown one."""
    body = (get_args(operation.body) or [operation.body])[0]
    requests: list[Callable[[], object]] = []
    if query := operation.query:
        requests = [partial(validate_query, query, text) for text in (b"", b"colour=red")]
    elif isinstance(body, type) and issubclass(body, Schema):
        requests = [partial(validate_body, body, text) for text in (b"{}", b'{"colour": "red"}')]
    for parse in requests:
        try:
            parse()
        except RequestError as error:
            return {"error": str(error), "details": [asdict(p) for p in error.problems]}
    return None


def curl(settings: Settings, method: str, path: str, operation: Operation, needs_key: bool) -> str:
    """Return a curl command for the server's host; `path` is without placeholders."""
    url = f"http://127.0.0.1:{settings.port}{path}"
    if operation.query and (query := example(operation.query)):
        parameters = {name: ",".join(map(str, value)) for name, value in query.items()}
        url += "?" + urlencode(parameters, safe=",")
    body = example(operation.body) if operation.body else None
    words = ["curl"]
    if method == "POST" and not body:
        words.append("-X POST")
    elif method not in ("GET", "POST"):
        words.append(f"-X {method}")
    responses = operation.responses.values()
    if any("text/event-stream" in response.media_types for response in responses):
        words.append("-N")
    if any("Content-Disposition" in response.headers for response in responses):
        words.append("-OJ")
    words.append(quote(url))
    if body:
        words.append(f"-d {quote(json.dumps(body))}")
    if needs_key and (settings.api_key or settings.api_keys_file):
        words.append(f'-H "Authorization: Bearer ${PREFIX}API_KEY"')
    return " ".join(words)
