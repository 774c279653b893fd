"""The formats of /invocations: JSON in the forms of SageMaker and MLflow, and CSV."""

from typing import NamedTuple

from streetlight.model.dataset import FloatArray
from streetlight.model.registry.version import Version
from streetlight.service.inference.codecs import batch_json, rows
from streetlight.service.inference.codecs.batch_json import (
    COLUMN_BYTES,
    encode_column,
    encode_items,
)
from streetlight.service.inference.endpoint import InferenceEndpoint
from streetlight.service.inference.messages import (
    JSON,
    InferenceRequest,
    Response,
    UnsupportedMediaTypeError,
    json_body,
)
from streetlight.service.inference.result import Result
from streetlight.service.validation.json_bounds import decode
from streetlight.service.validation.problems import FieldError, Problem, preview

CSV = "text/csv"
# `curl -d` sends every body as a form.
READ_AS_JSON = ("", JSON, "application/x-www-form-urlencoded")
PARSERS = {
    "instances": rows.from_rows,
    "inputs": rows.from_columns,
    "dataframe_records": rows.from_records,
    "dataframe_split": rows.from_table,
}


class Invocation(NamedTuple):
    """The light states of a request, and whether the client prefers CSV to JSON."""

    lights: FloatArray
    prefers_csv: bool
    field: str = "rows"


def _decode(request: InferenceRequest, version: Version) -> Invocation:
    media_type = (request.header("Content-Type") or "").partition(";")[0].strip().lower()
    if media_type == CSV:
        lights = rows.from_csv(version, bytes(request.body))
    elif media_type in READ_AS_JSON:
        lights = _lights_from_json(version, json_body(request))
    else:
        raise UnsupportedMediaTypeError(
            f"Content-Type: expected application/json or text/csv, got {media_type[:40]!r}"
        )
    return Invocation(lights, request.best_match((JSON, CSV)) == CSV)


def _lights_from_json(version: Version, text: bytes) -> FloatArray:
    for field in ("", "instances", "inputs"):
        lights = batch_json.decode_rows(text, field, version.network.light_count)
        if lights is not None:
            return lights
    body = decode(text)
    if isinstance(body, list):
        return rows.from_rows(version, body, "")
    given = body if isinstance(body, dict) else {}
    fields = [field for field in PARSERS if given.get(field) is not None]
    if len(fields) != 1:
        message = f"expected a list of rows, or an object with one of {', '.join(PARSERS)}"
        raise FieldError(Problem("", f"{message}; got {preview(body)}"))
    return PARSERS[fields[0]](version, body[fields[0]], fields[0])


def _encode(decoded: Invocation, result: Result) -> Response:
    scores, number = result.score_array, result.version.number
    if decoded.prefers_csv:
        return Response([encode_items(scores).replace(b",", b"\n") + b"\n"], CSV, number)
    return Response([b'{"predictions":[%s]}\n' % encode_column(scores)], JSON, number)


def _response_bytes(decoded: Invocation, _version: Version) -> int:
    return len(decoded.lights) * COLUMN_BYTES


INVOKE = InferenceEndpoint("invocations", _decode, _encode, _response_bytes)
