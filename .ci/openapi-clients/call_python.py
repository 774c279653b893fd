"""Call every operation with the client that openapi-python-client has generated.

Usage: call_python.py DOCUMENT URL KEY; the package `client` is in the working directory.
"""

import inspect
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

sys.path.insert(0, "")


def main(document: str, url: str, key: str) -> None:
    """Call the operations in the order of the document, and check what they return."""
    paths = json.loads(Path(document).read_text())["paths"]
    client = import_module("client").AuthenticatedClient(base_url=url, token=key, timeout=60)
    for path, methods in paths.items():
        for operation in methods.values():
            name = operation["operationId"]
            print(name, flush=True)
            call = import_module(f"client.api.{operation['tags'][0]}.{name}").sync_detailed
            response = call(client=client, **_arguments(operation, inspect.signature(call)))
            described = operation["responses"][str(int(response.status_code))]
            if response.status_code >= 300 or ("content" in described and not response.parsed):
                raise SystemExit(f"{path}: {response}")


def _arguments(operation: dict[str, Any], signature: inspect.Signature) -> dict[str, Any]:
    """Return the arguments of a call: the examples of the document."""
    arguments = {p["name"]: p["example"] for p in operation["parameters"] if "example" in p}
    if body := operation.get("requestBody"):
        example = body["content"]["application/json"]["example"]
        kind = signature.parameters["body"].annotation
        for model in get_args(kind) or [kind]:
            try:
                if model.from_dict(example).to_dict() == example:
                    arguments["body"] = model.from_dict(example)
                    break
            except (AttributeError, KeyError, TypeError):
                continue  # another type of the union
        else:
            raise AssertionError(f"{operation['operationId']}: no type has the form {example}")
    return arguments


main(*sys.argv[1:])
