"""Every schema is given every kind of wrong value; each message has our words, not Pydantic's."""

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError
from pydantic_core.core_schema import ErrorType

from streetlight.service.config.settings import Settings
from streetlight.service.inference.codecs.v2_request import ProtocolModel
from streetlight.service.validation.problems import EXPECTED, problems
from streetlight.service.validation.request_schema import Schema
from streetlight.service.web import factory

# Errors whose messages don't have the form "expected …, got …".
OTHERS = {
    "extra_forbidden",
    "json_invalid",
    "missing",
    "unexpected_keyword_argument",
    "value_error",
}
TIMES = ["2000-01-01", "2000-13-01T00:00:00Z", "2000-01-01T00:00:00", "10:00", "2000-01-01T0:0Z"]
SCALARS = [None, True, 0, -1, 1.5, 10**30, float("inf"), float("nan"), "", "a\0", "/:", "x" * 9999]
WRONG = [*SCALARS, *TIMES, "9" * 5000, [], [None], {}, {"x": 1}]


def schemas(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield the subclasses of a schema, which the modules of the routes declare."""
    for kind in base.__subclasses__():
        if kind.__module__.startswith(factory.__name__.partition(".")[0]):
            yield kind
        yield from schemas(kind)


def wrong_values(schema: Any, shared: Any, depth: int = 0) -> Iterator[Any]:
    """Yield values of the wrong type, and out of bounds, for a JSON schema and each part of it."""
    yield from WRONG
    if depth == 5:
        return
    schema |= shared.get(schema.get("$ref", "").rpartition("/")[2], {})
    for part in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from wrong_values(part, shared, depth + 1)
    fields = dict(schema.get("properties", {}))
    if isinstance(schema.get("additionalProperties"), dict):
        fields["weights_0_1"] = schema["additionalProperties"]
    for name, part in fields.items():
        for value in wrong_values(part, shared, depth + 1):
            yield {name: value}
    if schema.get("type") == "array":
        yield [1] * (schema.get("maxItems", 0) + 1)
        for value in wrong_values(schema.get("items", {}), shared, depth + 1):
            yield [value]


def errors(kind: type[BaseModel]) -> Iterator[ValidationError]:
    """Yield the errors of wrong values: texts in queries and settings, JSON in other schemas."""
    has_texts = kind.__name__.endswith("Query") or kind is Settings
    described = kind.model_json_schema()
    for value in wrong_values(described, described.get("$defs", {})):
        try:
            if not has_texts:
                kind.model_validate_json(json.dumps(value))
            elif isinstance(value, dict):
                texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in value.items()}
                kind.model_validate(texts, strict=False)
        except ValidationError as error:
            yield error


KINDS = {kind for base in (Schema, ProtocolModel) for kind in schemas(base)} | {Settings}


@pytest.mark.parametrize("kind", sorted(KINDS, key=str), ids=lambda kind: kind.__name__)
def test_no_message_has_the_words_of_pydantic(kind: type[BaseModel]) -> None:
    untranslated = set(get_args(ErrorType)) - EXPECTED.keys() - OTHERS
    for error in errors(kind):
        for details, problem in zip(error.errors(), problems(error), strict=False):
            if details["type"] not in OTHERS:
                assert problem.message.startswith("expected "), problem
                assert ", got " in problem.message, problem
            assert details["type"] not in untranslated, problem
