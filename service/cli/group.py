"""The command group `streetlight`, and the exit status of a command that fails."""

import csv
import sys
from typing import Any, NoReturn

import click
from sqlalchemy.exc import ArgumentError, DBAPIError

from streetlight.model.dataset import DatasetError
from streetlight.model.registry.file_lock import LockedError
from streetlight.model.registry.repository import NothingToRollBackToError, VersionNotFoundError
from streetlight.model.registry.version import VersionDamagedError
from streetlight.service.archive.manifest import ArchiveError
from streetlight.service.archive.restore import NotEmptyError
from streetlight.service.cli.setting_options import Command
from streetlight.service.config.errors import SettingsError
from streetlight.service.inference.prediction import LightsError
from streetlight.service.inference.resolution import NoLiveVersionError
from streetlight.service.store.engine import describe


class Commands(click.Group):
    """A group whose commands report an expected error in one line, without a traceback."""

    command_class = Command
    group_class = type  # the groups in it are of this class, too

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        """Run the command; exit with status 2 for a configuration or input error, 1 for others.

        Status 2: a setting, an argument, an input file, the data directory or the database is not
        usable. Status 1: the request failed, for example because the version doesn't exist.
        """
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            fail(error, 2)
        except OSError as error:
            fail(f"{error.filename or 'I/O'}: {error.strerror or error}", 2)
        except (
            csv.Error,
            ArchiveError,
            DatasetError,
            NotEmptyError,
            UnicodeDecodeError,
        ) as error:
            fail(error, 2)
        except ArgumentError as error:
            fail(f"STREETLIGHT_DATABASE_URL: {error}", 2)
        except ImportError as error:
            install = "pip install --require-hashes -r requirements-postgresql.lock"
            fail(f"STREETLIGHT_DATABASE_URL: {error}; for PostgreSQL: {install}", 2)
        except DBAPIError as error:
            fail(describe(error), 2)
        except (
            LightsError,
            LockedError,
            NoLiveVersionError,
            NothingToRollBackToError,
            VersionDamagedError,
            VersionNotFoundError,
        ) as error:
            fail(error, 1)


def fail(message: object, status: int) -> NoReturn:
    """Print one line to standard error, and exit with `status`."""
    click.echo(f"streetlight: {message}", err=True)
    sys.exit(status)


def warn_of(lagging: list[str]) -> None:
    """Print to standard error which hosts have not applied a promotion, if any."""
    if lagging:
        click.echo(f"hosts that have not applied this yet: {', '.join(lagging)}", err=True)


@click.group(cls=Commands, context_settings={"show_default": True})
@click.version_option(package_name="streetlight")
def main() -> None:
    """Train, serve and manage versions of the streetlight network.

    Settings are read from environment variables STREETLIGHT_… and from a file .env in the working
    directory; `streetlight config` prints them. The versions are stored in the directory
    STREETLIGHT_DATA_DIR, by default data.

    Exit status: 0: success; 1: the request failed; 2: usage or configuration error.
    """
