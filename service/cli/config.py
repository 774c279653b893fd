"""The command `config`, which prints the settings and where they come from."""

import json
from urllib.parse import quote_plus

import click
from pydantic import SecretStr
from sqlalchemy import make_url

from streetlight.service.cli.group import main
from streetlight.service.cli.setting_options import ALL_SETTINGS, options_given, server_options
from streetlight.service.config.descriptions import describe_setting
from streetlight.service.config.settings import Settings
from streetlight.service.config.sources import load_with_sources
from streetlight.service.web.factory import create_app
from streetlight.service.wiring import build_services

MASK = "***"


@main.command(settings=ALL_SETTINGS)
@server_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def config(ctx: click.Context, as_json: bool) -> None:
    """Print the settings, and where each comes from.

    These are the settings that `serve` would have with the same options, in the same folder. An
    invalid setting is an error, as it is for `serve`. Keys and passwords are masked.
    """
    settings, sources = load_with_sources()
    services = build_services(settings)
    services.keys.load()
    create_app(services)  # refuses a path that is another route
    services.engine.dispose()
    sources |= {name: f"option {option}" for name, option in options_given(ctx).items()}
    shown = {
        describe_setting(field).variable: {
            "value": _masked(settings, field),
            "source": sources.get(field, "default"),
        }
        for field in ALL_SETTINGS
    }
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    rows = [(name, _text(row["value"]), str(row["source"])) for name, row in shown.items()]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, source in rows:
        click.echo(f"{name:<{widths[0]}}  {value:<{min(widths[1], 40)}}  {source}")


def _masked(settings: Settings, field: str) -> object:
    """Return the value of a setting as JSON has it, without what is secret."""
    if field == "database_url":
        url = make_url(settings.database)
        url = url.set(query={k: MASK if "password" in k else v for k, v in url.query.items()})
        return url.render_as_string(hide_password=True).replace(quote_plus(MASK), MASK)
    value = getattr(settings, field)
    if isinstance(value, SecretStr):
        return MASK
    return settings.model_dump(mode="json", include={field})[field]


def _text(value: object) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value)
