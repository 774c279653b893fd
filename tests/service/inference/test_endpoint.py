"""Tests of the inference endpoint: what it counts, and which requests are too expensive."""

from collections import Counter
from typing import NamedTuple

import pytest

from streetlight.model.registry.version import Version
from streetlight.service.inference.codecs.rows import Rows
from streetlight.service.inference.endpoint import InferenceEndpoint
from streetlight.service.inference.limits import TooExpensiveError
from streetlight.service.inference.messages import InferenceRequest, json_response
from streetlight.service.inference.prediction import LightsError
from streetlight.service.inference.resolution import ModelNotFoundError
from streetlight.service.observability import metrics
from tests.client import App


class Request(NamedTuple):
    """A request with the lights in its body, one byte each."""

    body: bytes = b"\x01\x00\x01"
    query: bytes = b""
    request_id: str = "a request"
    model: str | None = None
    version: str | None = None
    label: str | None = None
    max_multiplications: int = 1000

    def admit(self, multiplications: int, _response_bytes: int) -> None:
        if multiplications > self.max_multiplications:
            raise TooExpensiveError

    def check_connected(self) -> None:
        pass

    def header(self, _name: str) -> str | None:
        return None

    def best_match(self, _media_types: object) -> str | None:
        return None


def decode(request: InferenceRequest, _version: Version) -> Rows:
    return Rows(list(map(float, request.body)), "lamps")


ENDPOINT = InferenceEndpoint(
    "native",
    decode,
    lambda _decoded, result: json_response(result.score_list, result.version.number),
    lambda _decoded, _version: 100,
)


def counted() -> Counter[str]:
    """Return the numbers of requests and of light states of version 1, by result and decision."""
    return Counter(
        {
            sample.labels.get("result") or sample.labels["decision"]: int(sample.value)
            for metric in metrics.collect()
            for sample in metric.samples
            if sample.name.endswith(("_inference_requests_total", "_predictions_total"))
            and sample.labels["version"] == "1"
        }
    )


def test_a_success_is_counted(shared_app: App) -> None:
    before = counted()

    response = ENDPOINT(Request(), shared_app.services.model)

    assert (response.body, response.version) == ([b"[1.0]\n"], 1)
    assert counted() - before == Counter(success=1, walk=1)


@pytest.mark.parametrize(
    ("request_", "error"),
    [(Request(b"\x01"), LightsError), (Request(model="other", version="1"), ModelNotFoundError)],
)
def test_a_failure_is_counted_and_raised(
    shared_app: App, request_: Request, error: type[Exception]
) -> None:
    before = counted()

    with pytest.raises(error):
        ENDPOINT(request_, shared_app.services.model)

    assert counted() - before == Counter(failure=1)


def test_a_request_that_is_invalid_or_too_expensive_is_left_uncounted(shared_app: App) -> None:
    before, model = counted(), shared_app.services.model
    weights = model.resolve().network.weight_count

    assert ENDPOINT.try_respond(Request(b"\x01"), model) is None
    assert ENDPOINT.try_respond(Request(max_multiplications=weights - 1), model) is None
    assert counted() == before
    assert ENDPOINT.try_respond(Request(max_multiplications=weights), model) is not None
    assert counted() - before == Counter(success=1, walk=1)
