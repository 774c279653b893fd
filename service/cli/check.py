"""The command `check`, which looks for damage in the data directory and in the database."""

import click

from streetlight.model.registry import integrity as registry_integrity
from streetlight.service.cli.group import main
from streetlight.service.cli.services import open_current_services
from streetlight.service.learning import integrity as database_integrity
from streetlight.service.registry import integrity as shared_integrity
from streetlight.service.registry.shared_repository import SharedRepository


@main.command()
def check() -> None:
    """Check versions, promotions, observations and jobs against each other.

    Prints a line for each violation, and what was checked. It changes nothing, and may run beside a
    server. Exit status 1: there is a violation.
    """
    services = open_current_services()
    violations = 0

    def report(violation: str) -> None:
        nonlocal violations
        violations += 1
        click.echo(violation)

    checked = registry_integrity.check(services.repository, report)
    if isinstance(services.repository, SharedRepository):
        shared_integrity.check(services.repository, report)
    checked |= database_integrity.check(services.engine, services.repository, report)
    counts = ", ".join(f"{count} {name}" for name, count in checked.items())
    click.echo(f"checked {counts}; violations: {violations}")
    if violations:
        raise click.exceptions.Exit(1)
