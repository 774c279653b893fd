"""The command `monitoring`, which prints the files of the package for Prometheus and Grafana."""

from importlib.resources import files

import click

from streetlight.service.cli.group import main


@main.command(cls=click.Command)  # it reads no settings
@click.argument("name", type=click.Choice(["alerts.yml", "dashboard.json"]))
def monitoring(name: str) -> None:
    """Print the alert rules for Prometheus, or the dashboard for Grafana."""
    file = files("streetlight") / "monitoring" / name
    click.echo(file.read_text(encoding="utf-8"), nl=False)
