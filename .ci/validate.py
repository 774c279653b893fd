"""Validate the Kubernetes objects in a file: `python .ci/validate.py FILE`.

Kubernetes' own objects must match the schemas of each version from 1.29 to the newest that
kubernetes-validate has. Those of the Prometheus operator must match the models of cloudcoil, an
InferenceService those of KServe's client. An unknown field is an error everywhere.
"""

import ast
import functools
import re
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from cloudcoil.pydantic import BaseModel
from kubernetes_validate import utils

OLDEST = "1.29"
VERSIONS = [version for version in utils.all_versions() if version >= OLDEST]

# Each schema is read once, and not for each object again.
utils.schema_contents = functools.cache(utils.schema_contents)


def validate(thing: dict[str, Any]) -> str:
    """Return with which models an object was validated; raises an error that says what is wrong."""
    group = thing["apiVersion"].partition("/")[0]
    if group == "monitoring.coreos.com":
        return prometheus_operator(thing)
    if group == "serving.kserve.io":
        return kserve(thing)
    for version in VERSIONS:
        utils.validate(thing, version, strict=True)
    return f"Kubernetes {VERSIONS[0]} to {VERSIONS[-1]}"


def prometheus_operator(thing: dict[str, Any]) -> str:
    """Validate an object of the Prometheus operator."""
    BaseModel.model_config["extra"] = "forbid"  # before the models inherit it
    from cloudcoil.models.prometheus_operator import v1  # noqa: PLC0415

    getattr(v1, thing["kind"]).model_validate(thing)
    return "the models of the Prometheus operator"


def kserve(thing: dict[str, Any]) -> str:
    """Validate an InferenceService; the part that is a pod's, as a pod."""
    errors = list(_wrong(thing, "V1beta1" + thing["kind"], thing["kind"]))
    if errors:
        raise ValueError("; ".join(errors))
    predictor = thing["spec"]["predictor"]
    own = _fields("V1beta1ComponentExtensionSpec")
    pod = {field: value for field, value in predictor.items() if field not in own}
    kubernetes = validate(
        {"apiVersion": "v1", "kind": "Pod", "metadata": thing["metadata"], "spec": pod}
    )
    return f"the models of KServe, its pod with {kubernetes}"


@functools.cache
def _fields(model: str) -> dict[str, str]:
    """Return the types of the fields of a model of KServe's client.

    They are read from the source, because to import it takes all packages of a model server.
    """
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", model).lower()
    source = (Path(sysconfig.get_path("purelib")) / f"kserve/models/{name}.py").read_text()
    [body] = [node.body for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    types, names = (
        ast.literal_eval(node.value)
        for node in body
        if isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) in ("openapi_types", "attribute_map")
    )
    return {names[field]: kind for field, kind in types.items()}


def _wrong(value: Any, kind: str, path: str) -> Iterator[str]:  # noqa: ANN401 - parsed YAML
    """Yield what is wrong with a value; types of Kubernetes' own are not looked into."""
    parts = re.fullmatch(r"(list|dict)[\[(](?:str, )?(.*)[\])]", kind)
    expected = parts[1] if parts else kind if kind in ("str", "int", "bool") else "dict"
    if type(value).__name__ != expected:
        yield f"{path}: expected {kind}, got {value!r}"
    elif parts:
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _wrong(part, parts[2], f"{path}.{key}")
    elif kind.startswith("V1beta1"):
        fields = _fields(kind)
        for field, part in value.items():
            if field in fields:
                yield from _wrong(part, fields[field], f"{path}.{field}")
            else:
                yield f"{path}.{field}: unknown field of {kind}"


def main(path: str) -> None:
    """Validate all objects of a file, and check that their models refuse an unknown field."""
    for thing in yaml.safe_load_all(Path(path).read_text()):
        print(f"  {thing['kind']} {thing['metadata']['name']}: ", end="", flush=True)
        print(validate(thing))
        with suppress(ValueError, utils.ValidationError):
            validate({**thing, "misspelt": ""})
            raise AssertionError("expected an error for an unknown field, got none")


if __name__ == "__main__":
    main(sys.argv[1])
