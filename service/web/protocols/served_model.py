"""The one model that the other servers' protocols see: resolve its name and version, and score."""

import re
from time import perf_counter

from pydantic import ConfigDict

from streetlight.model.dataset import FloatArray
from streetlight.model.registry.version import Version, VersionDamagedError
from streetlight.service.inference.batch_json import count_walk
from streetlight.service.inference.prediction import score_rows
from streetlight.service.inference.resolution import (
    ModelNotFoundError,
    NoLiveVersionError,
    live_version,
    pinned_version,
)
from streetlight.service.validation.request_schema import Schema
from streetlight.service.web.application import services
from streetlight.service.web.middleware.instrumentation import record_inference


class LenientSchema(Schema):
    """Base class of request schemas that ignore unknown fields, as these protocols require."""

    model_config = ConfigDict(extra="ignore")


def check_model_name(model: str) -> None:
    """Check that `model` is the configured model name.

    Raises:
        ModelNotFoundError: it is another name.
    """
    name = services().settings.model_name
    if model != name:
        raise ModelNotFoundError(f"no model {model[:100]!r}; the model's name is {name!r}")


def parse_version_number(version: str) -> int:
    """Return the number in `version`, a whole number of 1 to 9 digits without leading zeros.

    Raises:
        ModelNotFoundError: `version` isn't such a number.
    """
    if not re.fullmatch(r"[1-9][0-9]{0,8}", version):
        raise ModelNotFoundError(f"no version {version[:40]!r}; versions are numbers from 1")
    return int(version)


def resolve_version(model: str, version: str | None) -> Version:
    """Return the version with the number `version`, or the live one if `version` is `None`.

    While no version is live, the model is unloaded, and `NoLiveVersionError` is raised for every
    version.

    Raises:
        ModelNotFoundError, VersionNotFoundError: there is no such model or version.
        NoLiveVersionError: no version is live, or the version can't be read.
    """
    check_model_name(model)
    repository = services().repository
    if version is None or repository.live_number() is None:
        return live_version(repository)
    try:
        return pinned_version(repository, parse_version_number(version))
    except VersionDamagedError as error:
        raise NoLiveVersionError(f"version {version} can't be read ({error})") from error


def score_and_record(version: Version, lights: FloatArray, field: str) -> FloatArray:
    """Return the scores, shape (rows,), of `lights`, shape (rows, lights); record the inference.

    Raises:
        LightsError: a light is too large; the message names the first such row.
    """
    began = perf_counter()
    scores = score_rows(version, lights, field)
    record_inference(version.number, began, len(scores), count_walk(scores))
    return scores
