"""The commands on versions: versions, promote, rollback and verify."""

import click

from streetlight.model.registry.repository import ModelRepository
from streetlight.model.registry.reproduction import reproduce
from streetlight.model.registry.version import Version
from streetlight.service.cli.group import fail, main, warn_of
from streetlight.service.cli.services import open_current_services, open_services
from streetlight.service.versions import switching
from streetlight.service.versions.catalog import DamagedVersion, ListedVersion, list_versions
from streetlight.service.wiring import initialize_ledger


@main.command()
def versions() -> None:
    """List the versions; * marks the live one."""
    repository = open_current_services().repository
    listed = list_versions(repository, lambda number: repository.load(number).manifest)
    if not listed.versions:
        click.echo("no version yet; run `streetlight train` to train the first one")
        return
    named = any(isinstance(row, ListedVersion) and row.promoted_by for row in listed.versions)
    last = "promoted by" if named else ""
    _echo(
        "   version  created                   dataset       rows  accuracy  error     seed", last
    )
    for row in listed.versions:
        mark = "*" if row.version == listed.live else " "
        if isinstance(row, DamagedVersion):
            click.echo(f"{mark}  {row.version:<7}  damaged: {row.damaged}")
            continue
        _echo(
            f"{mark}  {row.version:<7}  {row.created_at[:19]:<24}  {row.dataset:<12}"
            f"{row.rows:>6}  {row.accuracy:>8.1%}  {row.error:<8.2e}  {row.seed}",
            row.promoted_by or "",
        )


def _echo(line: str, last: str) -> None:
    click.echo(f"{line:<84}{last}".rstrip())


@main.command()
@click.argument("number", type=click.IntRange(min=1))
@click.option("--reason", default="by hand", help="Text for the promotion log.")
def promote(number: int, reason: str) -> None:
    """Make version NUMBER the live version."""
    switched = switching.promote(_changeable(), number, reason)
    promotion = switched.promotion
    was = f" instead of version {promotion.instead_of}" if promotion else " already"
    click.echo(f"version {number} is live{was}")
    warn_of(switched.lagging)


@main.command()
@click.option("--reason", default="by hand", help="Text for the promotion log.")
def rollback(reason: str) -> None:
    """Make the previous live version live again."""
    switched = switching.rollback(_changeable(), reason)
    instead_of = switched.promotion and switched.promotion.instead_of
    click.echo(f"version {switched.live} is live instead of version {instead_of}")
    warn_of(switched.lagging)


@main.command()
@click.argument("number", type=click.IntRange(min=1))
def verify(number: int) -> None:
    """Train version NUMBER again and compare every bit.

    The data and the recipe are read from the version's file. Exit status 1: the result differs.
    """
    version: Version = open_current_services().repository.load(number)
    result = reproduce(version)
    if result.identical:
        click.echo(f"version {number}: identical, bit for bit")
        return
    then, now = result.numpy
    fail(
        f"version {number}: {', '.join(result.differs)} not reproduced "
        f"(trained with numpy {then}, now numpy {now})",
        1,
    )


def _changeable() -> ModelRepository:
    """Return the repository; if hosts share the database, only with the tables of this release."""
    services = open_services()
    if services.shared:
        initialize_ledger(services)
    return services.repository
