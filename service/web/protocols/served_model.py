"""Score the light states of a request of another server's protocol."""

from time import perf_counter

from streetlight.model.dataset import FloatArray
from streetlight.model.registry.version import Version
from streetlight.service.inference.codecs.batch_json import count_walk
from streetlight.service.inference.prediction import score_rows
from streetlight.service.web.middleware.instrumentation import record_inference


def score_and_record(version: Version, lights: FloatArray, field: str) -> FloatArray:
    """Return the scores, shape (rows,), of `lights`, shape (rows, lights); record the inference.

    Raises:
        LightsError: a light is too large; the message names the first such row.
    """
    began = perf_counter()
    scores = score_rows(version, lights, field)
    record_inference(version.number, began, len(scores), count_walk(scores))
    return scores
