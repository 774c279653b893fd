"""Settings on the command line: options that override them, and their section in the help."""

import os
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from streetlight.service.config.descriptions import describe_setting
from streetlight.service.config.settings import Settings

ALL_SETTINGS = tuple(Settings.model_fields)
# Those that every command reads.
STORAGE = ("data_dir", "database_url")

Function = TypeVar("Function", bound=Callable[..., object])


class Command(click.Command):
    """A command whose help lists the settings that it reads, with their defaults."""

    def __init__(self, *args: Any, settings: Sequence[str] = STORAGE, **kwargs: Any) -> None:  # noqa: ANN401 - click's own
        super().__init__(*args, **kwargs)
        self._settings = settings

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, then the settings."""
        super().format_options(ctx, formatter)
        rows = []
        for variable, text, default in map(describe_setting, self._settings):
            shown = re.sub(r"\[(.+?)\]\(.+?\)", r"\1", text)  # without the links of the docs
            rows.append((variable, f"{shown}  [default: {default}]" if default else shown))
        with formatter.section("Settings"):
            formatter.write_dl(rows)


def setting_option(field: str) -> Callable[[Function], Function]:
    """Return a decorator that adds the option for a setting to a command.

    Its value replaces that of the environment in this process and in those that it starts.
    """
    variable, text, default = describe_setting(field)

    def override(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        # click reads the environment, too, but neither `.env` nor the other sources.
        if ctx.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE:
            os.environ[variable] = str(value)

    return click.option(
        f"--{field}",
        help=text,
        envvar=variable,
        show_envvar=True,
        show_default=default,
        callback=override,
        expose_value=False,
    )


def server_options(command: Function) -> Function:
    """Add the options of the server to a command."""
    for field in ("workers", "port", "host"):
        command = setting_option(field)(command)
    return command


def options_given(ctx: click.Context) -> dict[str, str]:
    """Return the options of `setting_option` on the command line, by the name of the setting."""
    return {
        name: f"--{name}"
        for name in ALL_SETTINGS
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
