"""Versions, which are trained networks: list, compare, verify, promote and roll back."""

import hashlib
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Literal

from flask import Blueprint, Response, g, send_file
from pydantic import Field
from werkzeug.exceptions import RequestedRangeNotSatisfiable

from streetlight.model.evaluation import Interval
from streetlight.model.registry.repository import NothingToRollBackToError, VersionNotFoundError
from streetlight.model.registry.reproduction import Reproduction
from streetlight.model.registry.version import VersionDamagedError
from streetlight.model.training.fit import initial_network
from streetlight.service.inference.limits import Cost, OverloadedError, TooExpensiveError
from streetlight.service.inference.pressure import Pressure, pressure_cost, pressure_table
from streetlight.service.inference.resolution import NoLiveVersionError
from streetlight.service.ledger.accuracy import (
    MAX_PAGE_OBSERVATIONS,
    AccuracyWindow,
    accuracy,
    accuracy_by_version,
    accuracy_windows,
)
from streetlight.service.prediction_log.queries import PredictionLogOffError
from streetlight.service.validation.fields import After, AfterNewest, Limit, Text, Time
from streetlight.service.validation.request_schema import Schema
from streetlight.service.versions import catalog, comparison, switching
from streetlight.service.versions.catalog import VersionDetails, VersionList
from streetlight.service.versions.comparison import Difference, IncomparableError
from streetlight.service.versions.shadow import Shadow, compare_with_log
from streetlight.service.versions.switching import Switched
from streetlight.service.versions.verification import VerificationBusyError
from streetlight.service.versions.verification import verify as verify_version
from streetlight.service.web.application import services
from streetlight.service.web.middleware.admission import admit, check_connected
from streetlight.service.web.middleware.auth import requires
from streetlight.service.web.openapi.operation import ResponseSpec, operation
from streetlight.service.web.request import resolve_live

blueprint = Blueprint("versions", __name__)
blueprint.before_request(resolve_live)

UNUSABLE = [VersionNotFoundError, VersionDamagedError, NoLiveVersionError]
BOUNDED = [TooExpensiveError, OverloadedError]
FILE = ResponseSpec(
    media_types=["application/octet-stream"], headers=["Content-Disposition", "ETag"]
)


class VersionsQuery(Schema):
    """The page of versions to list."""

    after: AfterNewest | None = None
    limit: Limit = 100


@blueprint.get("/versions")
@operation(links={"versions_show": {"number": "$response.body#/live"}})
def list_versions(query: VersionsQuery) -> VersionList:
    """List versions, newest first, and return the number of the live one."""
    return catalog.list_versions(
        services().repository,
        services().model.versions.check,
        partial(accuracy_by_version, services().engine),
        query.after,
        query.limit,
    )


@blueprint.get("/versions/<version:number>")
@operation(
    raises=[*UNUSABLE, *BOUNDED],
    links={
        "versions_shadow": {"number": "$response.body#/version"},
        "versions_verify": {"number": "$response.body#/version"},
    },
)
def show(number: int) -> VersionDetails:
    """Return one version: its manifest, weights, error curve and promotions."""
    version = services().repository.load(number)
    admit(**catalog.details_cost(version)._asdict())
    return catalog.describe_version(services().repository, version)


@blueprint.get("/versions/<version:number>/weights")
@operation(
    headers=["Range", "If-None-Match"],
    responses={
        200: FILE,
        206: replace(FILE, headers=[*FILE.headers, "Content-Range"]),
        304: ResponseSpec(headers=["ETag"]),
    },
    raises=[*UNUSABLE, RequestedRangeNotSatisfiable],
)
def download(number: int) -> Response:
    """Download the version's file, a `.npz` archive, or a range of its bytes."""
    path = services().repository.load(number).path.resolve()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return send_file(
        path,
        etag=digest,
        mimetype="application/octet-stream",
        as_attachment=True,
        download_name=f"streetlight-{number}.npz",
    )


class AccuracyQuery(Schema):
    """The windows to list: at most `limit` of `window` observations each, with ids above `after`.

    A page has fewer windows if they have more than 100,000 observations.
    """

    window: Annotated[int, Field(ge=1, le=MAX_PAGE_OBSERVATIONS)] = 50
    after: After = 0
    limit: Limit = 100


@dataclass(frozen=True)
class VersionAccuracy:
    """The accuracy of a version on all observations that it decided, and one page of windows.

    `interval` has the ends of the 95 % Wilson interval of `accuracy`, which is null without
    observations. The windows are in order of id; request the next page with `after` set to `next`,
    null on the last. Withdrawn observations aren't counted.
    """

    version: int
    observations: int
    correct: int
    accuracy: float | None
    interval: Interval
    windows: list[AccuracyWindow]
    next: int | None


@blueprint.get("/versions/<version:number>/accuracy")
@operation(raises=UNUSABLE)
def show_accuracy(number: int, query: AccuracyQuery) -> VersionAccuracy:
    """Return how often a version decided as people did, over time, in windows of observations.

    The version decided each observation when it was recorded, before any version learnt from it.
    """
    services().model.versions.check(number)
    engine = services().engine
    whole = accuracy(engine, number)
    windows, next_id = accuracy_windows(engine, number, query.window, query.after, query.limit)
    return VersionAccuracy(
        number,
        whole.observations,
        whole.correct,
        whole.ratio,
        whole.interval,
        windows,
        next_id,
    )


class PressureQuery(Schema):
    """The training rows to list, at most `limit` after row `after`, and the network.

    `at` is `end` for the finished network, `start` for the one with which its run started.
    """

    at: Literal["start", "end"] = "end"
    after: After = 0
    limit: Annotated[int, Field(ge=0, le=1000)] = 100


@blueprint.get("/versions/<version:number>/pressure")
@operation(raises=[*UNUSABLE, *BOUNDED])
def pressure(number: int, query: PressureQuery) -> Pressure:
    """Return the weight pressure of each training row, and the sums over all rows."""
    version = services().repository.load(number)
    network, manifest, page = version.network, version.manifest, (query.after, query.limit)
    admit(**pressure_cost(network, manifest.rows, *page)._asdict())
    dataset = version.dataset()
    if query.at == "start":
        network = initial_network(dataset, manifest.recipe, manifest.seed)
    return pressure_table(network, dataset, *page, number)


@blueprint.get("/versions/<version:a>/diff/<version:b>")
@operation(raises=[*UNUSABLE, *BOUNDED, IncomparableError])
def difference(a: int, b: int) -> Difference:
    """Count the light patterns that versions `a` and `b` decide differently, and list the first."""
    versions = services().repository.load(a), services().repository.load(b)
    admit(**comparison.difference_cost(*versions)._asdict())
    return comparison.difference(*versions)


class ShadowQuery(Schema):
    """The time of the first prediction to compare; by default, the whole log is compared."""

    since: Time | None = None


@blueprint.post("/versions/<version:number>/shadow")
@requires("train")
@operation(raises=[*UNUSABLE, *BOUNDED, PredictionLogOffError])
def shadow(number: int, query: ShadowQuery) -> Shadow:
    """Return which of the logged predictions a version would have decided differently.

    The log shows what clients asked, and to read a million predictions takes seconds, so the
    request requires the key.
    """
    version, log = services().repository.load(number), services().require_prediction_log()

    def check(cost: Cost) -> None:
        admit(**cost._asdict())
        check_connected()

    since = query.since.timestamp() if query.since else 0.0
    return compare_with_log(log, version, since, check)


class SwitchBody(Schema):
    """The reason for the change of the live version, stored with the promotion."""

    reason: Annotated[Text, Field(max_length=200, examples=["it does better"])] = "by request"


@blueprint.post("/versions/<version:number>/promote")
@operation(raises=UNUSABLE, links={"versions_show": {"number": "$response.body#/live"}})
def promote(number: int, body: SwitchBody) -> Switched:
    """Make a version live; `promotion` is null if the version was live already."""
    return switching.promote(services().repository, number, body.reason, g.get("key"))


@blueprint.post("/rollback")
@operation(
    raises=[*UNUSABLE, NothingToRollBackToError],
    links={"versions_show": {"number": "$response.body#/live"}},
)
def rollback(body: SwitchBody) -> Switched:
    """Make the previously live version live again; each further rollback goes back one more."""
    return switching.rollback(services().repository, body.reason, g.get("key"))


@blueprint.post("/versions/<version:number>/verify")
@requires("train")
@operation(raises=[*UNUSABLE, VerificationBusyError])
def verify(number: int) -> Reproduction:
    """Train a version again from the data in its file, and compare the results bit for bit.

    A training takes the processor for up to a minute, so the request requires the key.
    """
    version = services().repository.load(number)
    return verify_version(version, check_connected=check_connected)
