"""Request schemas: `Schema`, and how JSON bodies and query strings are parsed into one.

Reading the bytes of a request is in `web.request`; the messages of the errors are in `problems`.
"""

import codecs
from typing import TypeVar, get_origin
from urllib.parse import parse_qsl, quote

from pydantic import BaseModel, ConfigDict, ValidationError

from streetlight.service.validation.json_bounds import check_bounds
from streetlight.service.validation.problems import Problem, RequestError, problems

# For all objects of a body together: validation builds an error for each unknown field. Ten
# thousand rows have two fields each.
MAX_FIELDS = 20_100

# The name of the error handler that leaves bytes that aren't UTF-8 percent-encoded.
PERCENT_ENCODE = "streetlight.percent_encode"


class Schema(BaseModel):
    """Base class of request schemas: strict types, finite numbers, no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


SchemaT = TypeVar("SchemaT", bound=Schema)


def validate_body(schema: type[SchemaT], body: bytes) -> SchemaT:
    """Return a JSON body as a `schema`.

    Raises:
        RequestError, FieldError: the body doesn't match the schema.
    """
    # A short body has few fields and values; it is on the path of every prediction.
    if len(body) > MAX_FIELDS and check_bounds(body).count(b":") > MAX_FIELDS:
        raise RequestError([Problem("", f"expected at most {MAX_FIELDS} fields in all")])
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        raise RequestError(problems(error, schema.model_fields)) from None


def validate_query(schema: type[SchemaT], query: bytes) -> SchemaT:
    """Return a query string, as it was sent, as a `schema`.

    The values of a repeated parameter are joined by commas if its field is a list; any other
    repeated parameter is an error.

    Raises:
        RequestError: the query string doesn't match the schema.
    """
    pairs = parse_qsl(query.decode(), keep_blank_values=True, errors=PERCENT_ENCODE)
    fields = dict(pairs)
    if len(fields) < len(pairs):
        fields = _join_repeated(schema, pairs)
    try:
        # The values of a query string are text, so only here numbers are parsed from text.
        return schema.model_validate(fields, strict=False)
    except ValidationError as error:
        raise RequestError(problems(error, schema.model_fields, "parameter")) from None


def _join_repeated(schema: type[Schema], pairs: list[tuple[str, str]]) -> dict[str, str]:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    fields = schema.model_fields
    single = {name for name, field in fields.items() if get_origin(field.annotation) is not list}
    if repeated := [name for name in values if name in single and len(values[name]) > 1]:
        raise RequestError([Problem(name, "expected once, got more") for name in repeated])
    return {name: ",".join(texts) for name, texts in values.items()}


def _percent_encode(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return quote(error.object[error.start : error.end], safe=""), error.end


codecs.register_error(PERCENT_ENCODE, _percent_encode)
