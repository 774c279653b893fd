"""The command group `db`, which changes the schema of the database."""

import click

from streetlight.service.cli.group import main
from streetlight.service.cli.setting_options import STORAGE
from streetlight.service.config.sources import load_settings
from streetlight.service.store.schema import LEDGER, PREDICTION_LOG, Schema
from streetlight.service.wiring import build_services, upgrade_ledger, upgrade_prediction_log


@main.group()
def db() -> None:
    """Change the schema of the database."""


@db.command(name="upgrade", settings=[*STORAGE, "prediction_log", "start_empty"])
@click.option(
    "--new-ledger",
    is_flag=True,
    help="Create the tables also if versions in the data directory come from another database.",
)
def upgrade_schema(new_ledger: bool) -> None:
    """Create the tables, or migrate them to the revision of this release.

    `serve` and `work` do the same when they start.
    """
    services = build_services(load_settings())
    _print(LEDGER, upgrade_ledger(services, new_ledger=new_ledger))
    if services.prediction_log:
        _print(PREDICTION_LOG, upgrade_prediction_log(services))
    services.engine.dispose()


def _print(schema: Schema, before: str | None) -> None:
    if before is None:
        done = "created with"
    elif before == schema.revision:
        done = "has"
    else:
        done = f"migrated from revision {before} to"
    click.echo(f"{schema.name.replace('_', ' ')}: {done} revision {schema.revision}")
