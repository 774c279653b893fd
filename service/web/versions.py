"""Versions: what there is, what is in each, and which one is live."""

from typing import Annotated

from flask import Blueprint, Response, send_file
from pydantic import Field

from service import comparison, observations, versions
from service.verification import verify as verify_version
from service.web.access import changes_nothing
from service.web.exchange import Schema, answer, parse_body, parse_query, services

blueprint = Blueprint("versions", __name__)


@blueprint.get("/versions")
def list_versions() -> Response:
    """List every version, newest first, and say which is live."""
    asked = observations.accuracy(services().engine)
    return answer(versions.list_versions(services().repository, asked))


@blueprint.get("/versions/<int:number>")
def show(number: int) -> Response:
    """Show one version in full."""
    return answer(versions.describe_version(services().repository, number))


@blueprint.get("/versions/<int:number>/weights")
def download(number: int) -> Response:
    """Send the version's file."""
    path = services().repository.load(number).path
    return send_file(
        path.resolve(),
        mimetype="application/octet-stream",
        as_attachment=True,
        download_name=f"streetlight-{number}.npz",
    )


class Page(Schema):
    """Which rows to list."""

    offset: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=0, le=1000)] = 100


@blueprint.get("/versions/<int:number>/pressure")
def pressure(number: int) -> Response:
    """Show how each training row pulls each weight, and the sums over all rows."""
    page = parse_query(Page)
    version = services().repository.load(number)
    return answer(versions.weight_pressure(version, page.offset, page.limit))


@blueprint.get("/versions/<int:a>/diff/<int:b>")
def difference(a: int, b: int) -> Response:
    """Show every light pattern on which version `b` decides otherwise than version `a`."""
    repository = services().repository
    return answer(comparison.difference(repository.load(a), repository.load(b)))


class SwitchBody(Schema):
    """Why another version goes live; for the record."""

    reason: Annotated[str, Field(max_length=200)] = "by request"


@blueprint.post("/versions/<int:number>/promote")
def promote(number: int) -> Response:
    """Let a version answer from now on; `promotion` is null where it did already."""
    reason = parse_body(SwitchBody).reason
    return answer({"live": number, "promotion": services().repository.promote(number, reason)})


@blueprint.post("/rollback")
def rollback() -> Response:
    """Let the version that was live before answer again."""
    promotion = services().repository.rollback(parse_body(SwitchBody).reason)
    return answer({"live": promotion.version, "promotion": promotion})


@blueprint.post("/versions/<int:number>/verify")
@changes_nothing
def verify(number: int) -> Response:
    """Train a version again from its file alone and compare, bit for bit."""
    return answer(verify_version(services().repository.load(number)))
