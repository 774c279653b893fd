"""`InferenceEndpoint`: the steps from a request for predictions to its response.

It resolves the version, decodes the request, has its cost admitted, computes the scores, encodes
the response, and counts, times and logs all of it. The formats are in `codecs`, the bounds in
`limits`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from time import perf_counter
from typing import Generic, Protocol, TypeVar

from streetlight.model.registry.version import Version
from streetlight.service.inference.messages import InferenceRequest, Response
from streetlight.service.inference.prediction import LightStates, row_count, score
from streetlight.service.inference.resolution import ServedModel
from streetlight.service.inference.result import Result
from streetlight.service.observability import metrics
from streetlight.service.prediction_log.queries import Dialect
from streetlight.service.prediction_log.recorder import PredictedRows


class DecodedRequest(Protocol):
    """What the decoder of a format returns: the light states, and what its encoder needs."""

    @property
    def lights(self) -> LightStates:
        """The light states."""

    @property
    def field(self) -> str:
        """The name of the light states in error messages."""


DecodedT = TypeVar("DecodedT", bound=DecodedRequest)


@dataclass(frozen=True)
class InferenceEndpoint(Generic[DecodedT]):
    """Answers requests for predictions in one format.

    Attributes:
        dialect: the protocol of the route, for the prediction log.
        decode: returns the light states of a request, for a version; raises the errors of the
            format.
        encode: returns the response with a result.
        response_bytes: returns the largest size that the response of a version can have.
        multiplications: returns the multiplications that a version needs for a row.
        compressible: whether the response is compressed for a client that accepts it.
        requested_version: returns the number of the version that a request names, as text; `None`
            if it names none.
    """

    dialect: Dialect
    decode: Callable[[InferenceRequest, Version], DecodedT]
    encode: Callable[[DecodedT, Result], Response]
    response_bytes: Callable[[DecodedT, Version], int]
    multiplications: Callable[[Version], int] = attrgetter("network.weight_count")
    compressible: bool = False
    requested_version: Callable[[InferenceRequest], str | None] = attrgetter("version")

    def __call__(self, request: InferenceRequest, model: ServedModel) -> Response:
        """Return the response to `request`; count the prediction, or its failure.

        Raises:
            ModelNotFoundError, VersionNotFoundError: there is no such model, version or label.
            NoLiveVersionError: no version is live, or the version can't be read.
            LightsError: the light states don't suit the version.
            TooExpensiveError, OverloadedError, ClientDisconnectedError: see `limits`.
        """
        began = perf_counter()
        try:
            return self._respond(request, model)
        except Exception:
            metrics.count_failure(model.requested_number(request.version), perf_counter() - began)
            raise

    def try_respond(self, request: InferenceRequest, model: ServedModel) -> Response | None:
        """Return the response to a request, and count the prediction.

        Return `None`, and count nothing, if the request is invalid, or its cost isn't admitted.
        """
        try:
            return self._respond(request, model)
        except Exception:  # noqa: BLE001 - the caller answers again, and reports the error
            return None

    def _respond(self, request: InferenceRequest, model: ServedModel) -> Response:
        began = perf_counter()
        number = self.requested_version(request)
        version = model.resolve(request.model, number, request.label)
        decoded = self.decode(request, version)
        request.admit(
            row_count(decoded.lights) * self.multiplications(version),
            self.response_bytes(decoded, version),
        )
        scoring_began = perf_counter()
        scores = score(version, decoded.lights, decoded.field, request.check_connected)
        scoring_ended = perf_counter()
        result = Result(model.name, version, decoded.lights, scores)
        response = self.encode(decoded, result)
        phases = (
            scoring_began - began,
            scoring_ended - scoring_began,
            perf_counter() - scoring_ended,
        )
        walk_count, at = result.walk_count, time.time()
        metrics.count_inference(version.number, walk_count, len(scores) - walk_count, phases, at)
        # A number that isn't in the path is that of an earlier prediction, which is logged already.
        if model.recorder is not None and number == request.version:
            model.recorder.record(
                PredictedRows(
                    at, request.request_id, self.dialect, version.number, decoded.lights, scores
                )
            )
        return response
