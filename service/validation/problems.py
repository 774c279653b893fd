"""Convert Pydantic's errors into messages with the field, the expected value and the actual one.

The messages are used for request bodies, query strings and settings.
"""

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from types import NoneType

from pydantic import ValidationError
from pydantic_core import ErrorDetails

NO_NUL = r"^[^\x00]*$"
MAX_PROBLEMS = 20
MAX_CHARACTERS = 80

TIME = "a time with its offset from UTC, such as 2000-01-01T00:00:00Z"
EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dataclass_type": "a JSON object",
    "datetime_from_date_parsing": TIME,
    "datetime_object_invalid": TIME,
    "datetime_parsing": TIME,
    "datetime_type": TIME,
    "dict_type": "a JSON object",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "int_type": "a whole number",
    "ip_any_network": "an address, or a network such as 10.0.0.0/8, whose other bits are 0",
    "json_type": "JSON",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "list_type": "a list",
    "literal_error": "{expected}",
    "model_type": "a JSON object",
    "path_type": "a path",
    "string_pattern_mismatch": "text that matches {pattern}",
    "string_too_long": "at most {max_length} characters",
    "string_too_short": "at least {min_length} characters",
    "string_type": "text",
    "string_unicode": "UTF-8 text",
    "timezone_aware": TIME,
    "too_long": "at most {max_length} items",
    "too_short": "at least {min_length} items",
    "tuple_type": "a list",
}


@dataclass(frozen=True)
class Problem:
    """An error in one field. `got` is the value that came, or a preview of it."""

    field: str
    message: str
    got: bool | float | str | None = None

    def __str__(self) -> str:
        """Return the message, after the name of the field if there is one."""
        return f"{self.field}: {self.message}" if self.field else self.message


class FieldError(ValueError):
    """A field is invalid; `problem` has its name and the message."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class RequestError(ValueError):
    """The request is invalid; `problems` names the fields."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


def problems(
    error: ValidationError, known_fields: Iterable[str] | None = None, noun: str = "field"
) -> list[Problem]:
    """Return up to `MAX_PROBLEMS` problems in `error`.

    The problem of an unknown field, which the message calls `noun`, suggests one of `known_fields`,
    unless it is within another.
    """
    known = None if known_fields is None else list(known_fields)
    return [_problem(details, known, noun) for details in error.errors()[:MAX_PROBLEMS]]


def preview(value: object) -> str:
    """Return `value` as JSON for a message, cut after `MAX_CHARACTERS` characters."""
    if isinstance(value, str):
        shortened = value if len(value) <= MAX_CHARACTERS else value[:MAX_CHARACTERS] + "…"
        return json.dumps(shortened, ensure_ascii=False)
    # A list is cut before it is serialised, because it can have millions of items.
    text = json.dumps(value[:MAX_CHARACTERS] if isinstance(value, list) else value, default=repr)
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"


def _problem(details: ErrorDetails, known_fields: list[str] | None, noun: str) -> Problem:
    kind, field, context = details["type"], _path(details["loc"]), details.get("ctx", {})
    if kind == "json_invalid":
        return Problem(field, f"malformed JSON: {context['error']}")
    if kind == "missing":
        return Problem(field, "required, but missing")
    if kind == "value_error":  # of a validator of ours, with a complete message
        return Problem(field, str(context["error"]))
    if kind == "too_short" and isinstance(details["input"], str):  # a SecretStr
        kind = "string_too_short"
    quoted = preview(details["input"])
    scalar = isinstance(details["input"], (str, float, int, NoneType))
    is_json = not quoted.endswith("…") and quoted not in ("NaN", "Infinity", "-Infinity")
    got = json.loads(quoted) if scalar and is_json else quoted
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        is_nested = len(details["loc"]) > 1
        return Problem(
            field, f"unknown {noun}{'' if is_nested else _hint(field, known_fields)}", got
        )
    # For a list that is too long, the message has its length instead of a preview.
    actual = context.get("actual_length", quoted)
    if context.get("pattern") == NO_NUL:
        return Problem(field, f"expected text without NUL characters, got {actual}", got)
    expected = EXPECTED[kind].format(**context) if kind in EXPECTED else details["msg"]
    return Problem(field, f"expected {expected}, got {actual}", got)


def _hint(field: str, known_fields: list[str] | None) -> str:
    if known_fields is None:
        return ""
    if close := difflib.get_close_matches(field, known_fields, 1):
        return f"; did you mean {close[0]}?"
    return f"; expected {', '.join(known_fields) or 'none'}"


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path
