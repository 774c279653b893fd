"""The command `predict`, which predicts with the live version and needs no server."""

import click

from streetlight.model.dataset import outcome_name
from streetlight.service.cli.group import main
from streetlight.service.cli.services import open_current_services
from streetlight.service.inference.prediction import score_row
from streetlight.service.inference.resolution import live_version


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("lights", nargs=-1, required=True, type=float)
def predict(lights: tuple[float, ...]) -> None:
    """Print the decision for one light state.

    LIGHTS are numbers, one for each light: streetlight predict 1 0 1. The live version answers.
    """
    repository = open_current_services().repository
    version = live_version(repository)
    score = score_row(version, lights, "lights")
    click.echo(f"{outcome_name(score)}  score {score}  version {version.number}")
