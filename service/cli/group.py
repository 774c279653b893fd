"""The group of commands: how they are found, and how they end when something is wrong."""

import csv
import sys
from typing import Any, NoReturn

import click
from sqlalchemy.exc import ArgumentError, DBAPIError

from streetlight.model.dataset import DatasetError
from streetlight.model.registry.repository import NothingToRollBackToError, VersionNotFoundError
from streetlight.model.registry.version import VersionDamagedError
from streetlight.service.config import SettingsError
from streetlight.service.inference.prediction import LightsError
from streetlight.service.inference.resolution import NoLiveVersionError


class Commands(click.Group):
    """Commands that end with one clear line where something is wrong, never with a traceback."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        """Run the command: status 2 for what the operator set, 1 for what was asked in vain."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            fail(error, 2)
        except OSError as error:
            fail(f"{error.filename or 'I/O'}: {error.strerror or error}", 2)
        except (csv.Error, UnicodeDecodeError, DatasetError) as error:
            fail(error, 2)
        except (ArgumentError, ImportError) as error:
            fail(f"STREETLIGHT_DATABASE_URL: {error}", 2)
        except DBAPIError as error:
            fail(f"the database can't be used: {error.orig}", 2)
        except (
            LightsError,
            NoLiveVersionError,
            NothingToRollBackToError,
            VersionDamagedError,
            VersionNotFoundError,
        ) as error:
            fail(error, 1)


def fail(message: object, status: int) -> NoReturn:
    """End the command with one line."""
    click.echo(f"streetlight: {message}", err=True)
    sys.exit(status)


@click.group(cls=Commands)
@click.version_option(package_name="streetlight")
def main() -> None:
    """Learn when it is safe to cross, and say so over HTTP.

    Settings come from the environment: STREETLIGHT_DATA_DIR holds all state.
    """
