"""Tests of the messages about invalid values: the field, the expected and the given value."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, Strict, TypeAdapter, ValidationError

from streetlight.service.validation.fields import MustHolds, Text, Whole
from streetlight.service.validation.problems import MAX_PROBLEMS, Problem, preview, problems


class Light(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    color: str = Field("red", min_length=2, max_length=5)
    brightness: float = Field(1, gt=0, lt=2)
    number: Annotated[int, Strict()] = Field(1, ge=1, le=3)
    on: bool = True


class Street(BaseModel):
    lights: Annotated[list[Light], Field(min_length=1, max_length=2)]


def messages(kind: Any, value: object, **known: Any) -> list[str]:
    with pytest.raises(ValidationError) as failure:
        TypeAdapter(kind).validate_python(value)
    return [str(problem) for problem in problems(failure.value, **known)]


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (Light, {"color": "r"}, 'color: expected at least 2 characters, got "r"'),
        (Light, {"color": "purple"}, 'color: expected at most 5 characters, got "purple"'),
        (Light, {"color": 1}, "color: expected text, got 1"),
        (Light, {"brightness": 0}, "brightness: expected a number above 0.0, got 0"),
        (Light, {"brightness": 2}, "brightness: expected a number below 2.0, got 2"),
        (Light, {"brightness": "x"}, 'brightness: expected a number, got "x"'),
        (Light, {"brightness": None}, "brightness: expected a number, got null"),
        (Light, {"brightness": float("nan")}, "brightness: expected a finite number, got NaN"),
        (Light, {"number": 0}, "number: expected a number of at least 1, got 0"),
        (Light, {"number": 4}, "number: expected a number of at most 3, got 4"),
        (Light, {"number": True}, "number: expected a whole number, got true"),
        (Light, {"on": "x"}, 'on: expected true or false, got "x"'),
        (Light, [], "expected a JSON object, got []"),
        (Street, {}, "lights: required, but missing"),
        (Street, {"lights": 1}, "lights: expected a list, got 1"),
        (Street, {"lights": []}, "lights: expected at least 1 items, got 0"),
        (Street, {"lights": [{}] * 3}, "lights: expected at most 2 items, got 3"),
        (Street, {"lights": [{}, {"on": []}]}, "lights[1].on: expected true or false, got []"),
        (Whole, 1.5, "expected a whole number, got 1.5"),
        (Text, "a\0", 'expected text without NUL characters, got "a\\u0000"'),
        (MustHolds, 1, "expected a list, got 1"),
        (MustHolds, [1], "[0]: expected a JSON object, got 1"),
        (
            MustHolds,
            [{"lights": [1], "outcome": "run"}],
            "[0].outcome: expected 'walk' or 'stop', got \"run\"",
        ),
    ],
)
def test_a_message_names_the_field_and_both_values(kind: Any, value: object, message: str) -> None:
    assert messages(kind, value) == [message]


def test_an_unknown_field_gets_a_suggestion() -> None:
    known = {"known_fields": ["color", "on"]}
    assert messages(Light, {"colour": 1}, **known) == ["colour: unknown field; did you mean color?"]
    assert messages(Light, {"x": 1}, **known) == ["x: unknown field; expected color, on"]


def test_an_unknown_field_within_another_gets_no_suggestion() -> None:
    found = messages(Street, {"lights": [{"lihgts": 1}]}, known_fields=["lights"])

    assert found == ["lights[0].lihgts: unknown field"]


def test_malformed_json_is_reported_with_its_position() -> None:
    with pytest.raises(ValidationError) as failure:
        Light.model_validate_json("{")
    [problem] = problems(failure.value)
    assert problem == Problem(
        "", "malformed JSON: EOF while parsing an object at line 1 column 1", None
    )


def test_the_number_of_problems_is_bounded() -> None:
    assert len(messages(list[int], ["x"] * 1000)) == MAX_PROBLEMS


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x" * 80, '"' + "x" * 80 + '"'),
        ("x" * 81, '"' + "x" * 80 + '…"'),
        ("é", '"é"'),
        ([1] * 10**6, "[" + "1, " * 26 + "1…"),
        ({"a": object}, '{"a": "<class \'object\'>"}'),
    ],
)
def test_a_preview_is_short(value: object, text: str) -> None:
    assert preview(value) == text
