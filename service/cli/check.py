"""The command `check`, which looks for damage in the data directory and in the database."""

import click

from streetlight.model.registry import integrity as registry_integrity
from streetlight.service.cli.group import main
from streetlight.service.config import load_settings
from streetlight.service.learning import integrity as database_integrity
from streetlight.service.registry.shared_repository import SharedRepository
from streetlight.service.wiring import build_services


@main.command()
def check() -> None:
    """Check versions, promotions, observations and jobs against each other.

    Prints a line for each violation, and what was checked. It changes nothing, and may run beside a
    server. Exit status 1: there is a violation.
    """
    services = build_services(load_settings())
    if isinstance(services.repository, SharedRepository):
        services.repository.try_to_follow()  # a new host has no copies of the versions yet
    violations = 0

    def report(violation: str) -> None:
        nonlocal violations
        violations += 1
        click.echo(violation)

    checked = registry_integrity.check(services.repository, report)
    checked |= database_integrity.check(services.engine, services.repository, report)
    services.engine.dispose()
    counts = ", ".join(f"{count} {name}" for name, count in checked.items())
    click.echo(f"checked {counts}; violations: {violations}")
    if violations:
        raise click.exceptions.Exit(1)
