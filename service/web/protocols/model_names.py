"""What the protocols of other servers share: one model, by its name, in any of its versions."""

import re
from time import perf_counter

from pydantic import ConfigDict

from streetlight.model.dataset import FloatArray
from streetlight.model.registry.version import Version, VersionDamagedError
from streetlight.service.inference.batch_json import count_walk
from streetlight.service.inference.prediction import score_rows
from streetlight.service.inference.resolution import (
    NoLiveVersionError,
    live_version,
    pinned_version,
)
from streetlight.service.web.application import services
from streetlight.service.web.middleware.instrumentation import record_inference
from streetlight.service.web.request import Schema


class ModelNotFoundError(LookupError):
    """There is no model of that name, or not in that version."""


class LenientSchema(Schema):
    """A request in which what isn't known is ignored, as these protocols ask."""

    model_config = ConfigDict(extra="ignore")


def check_name(model: str) -> None:
    """See to it that `model` is the one there is.

    Raises:
        ModelNotFoundError: it isn't.
    """
    name = services().settings.model_name
    if model != name:
        raise ModelNotFoundError(f"no model {model[:100]!r}; there is {name!r}")


def version_number(version: str) -> int:
    """Return the number that `version` spells.

    Raises:
        ModelNotFoundError: it can't be one.
    """
    if not re.fullmatch(r"[1-9][0-9]{0,8}", version):
        raise ModelNotFoundError(f"no version {version[:40]!r}; versions are numbers from 1")
    return int(version)


def version_of(model: str, version: str | None) -> Version:
    """Return the version that is named, or the live one; with none live, no version answers.

    Raises:
        ModelNotFoundError, VersionNotFoundError: there is no such model or version.
        NoLiveVersionError: there is, and it can't answer.
    """
    check_name(model)
    repository = services().repository
    if version is None or repository.live_number() is None:
        return live_version(repository)
    try:
        return pinned_version(repository, version_number(version))
    except VersionDamagedError as error:
        raise NoLiveVersionError(f"version {version} can't be read ({error})") from error


def score_and_count(version: Version, lights: FloatArray, field: str) -> FloatArray:
    """Return the scores, shape (rows,), of `lights`, shape (rows, lights); they are counted.

    Raises:
        LightsError: names the first row with a light that is too large.
    """
    began = perf_counter()
    scores = score_rows(version, lights, field)
    record_inference(version.number, began, len(scores), count_walk(scores))
    return scores
