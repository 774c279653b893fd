"""The services of a command, with the versions that the database has now."""

import click

from streetlight.service.config.sources import load_settings
from streetlight.service.registry.first_version import add_folder
from streetlight.service.registry.follower import FAILURES
from streetlight.service.registry.shared_repository import SharedRepository
from streetlight.service.store.engine import describe
from streetlight.service.wiring import Services, build_services, initialize_ledger


def open_services() -> Services:
    """Return the services for the settings, whose connections are closed after the command."""
    services = build_services(load_settings())
    click.get_current_context().call_on_close(services.engine.dispose)
    return services


def open_current_services() -> Services:
    """Return the services, after the folder followed what other hosts have changed.

    If that is impossible, print why: a command that only reads continues with the copy.
    """
    services = open_services()
    try:
        services.repository.follow()
    except FAILURES as error:
        folder = services.repository.folder
        click.echo(f"streetlight: {describe(error)}; reading the copy in {folder}", err=True)
    return services


def initialize_current(services: Services) -> None:
    """Create or migrate the tables, and let the folder follow what other hosts have changed.

    Raises an error as `initialize_ledger` and `SharedRepository.follow` do.
    """
    initialize_ledger(services)
    if isinstance(services.repository, SharedRepository):
        add_folder(services.repository)
        services.repository.follow()
