"""Read the settings from the environment, from the file `.env`, and from files that these name.

A process reads the settings once. `settings` declares them, `env_file` reads `.env`, and
`service_links` recognises variables that aren't settings.
"""

import difflib
import os
import re
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from streetlight.service.config.env_file import read_env_file
from streetlight.service.config.errors import SettingsError
from streetlight.service.config.service_links import find_service_links
from streetlight.service.config.settings import PREFIX, Settings
from streetlight.service.validation.problems import Problem, problems

ENV_FILE = Path(".env")

# The variables that Vertex AI sets in the containers that it runs, and the settings for which they
# stand unless those are set, too.
VERTEX = {
    "AIP_HTTP_PORT": "port",
    "AIP_HEALTH_ROUTE": "health_route",
    "AIP_PREDICT_ROUTE": "predict_route",
}

# The settings that a file can contain, which the variable `STREETLIGHT_…_FILE` names.
SECRETS = ("api_key", "database_url", "webhook_secret")

# How similar the name of another variable must be to that of a setting to be a mistake: one letter
# of STREETLIGHT_HOST is missing, or two of STREETLIGHT_DATABASE_URL.
SIMILAR = 0.95
# What Python has in place of bytes that aren't UTF-8.
NOT_UTF_8 = re.compile("[\ud800-\udfff]")


class Given(NamedTuple):
    """The text of a setting, `None` for a variable without a value, and where it comes from."""

    text: str | None
    source: str


def load_settings() -> Settings:
    """Return the settings of the environment, of `.env`, and of the files that they name.

    Raises:
        SettingsError: `.env` can't be read, a variable `STREETLIGHT_…` is unknown or has no value,
            its value has the wrong type or is out of bounds, or its file can't be read; the message
            names each of them.
    """
    return load_with_sources()[0]


def load_with_sources() -> tuple[Settings, dict[str, str]]:
    """Return the settings, and where the value of each that isn't a default comes from.

    Raises:
        SettingsError: as `load_settings`.
    """
    links = service_links()
    environment = {
        name: Given(text, "environment")
        for name, text in _environment().items()
        if name not in links
    }
    in_file = {
        name.upper(): Given(text, str(ENV_FILE)) for name, text in read_env_file(ENV_FILE).items()
    }
    found = [*_misspelt("", environment), *_misspelt(f" in {ENV_FILE}", in_file)]
    variables = in_file | environment
    given = {
        field: variables[_variable(field)]
        for field in Settings.model_fields
        if _variable(field) in variables
    }
    for name, field in VERTEX.items():
        if name in environment:
            given.setdefault(field, Given(environment[name].text, name))
    try:
        given |= _read_secrets(variables)
        values = {field: text for field, (text, _) in given.items()}
        not_text = {field for field, text in values.items() if NOT_UTF_8.search(text or "")}
        found += [f"{_variable(field)}: expected UTF-8 text" for field in sorted(not_text)]
        settings = Settings.model_validate(
            {field: text for field, text in values.items() if field not in not_text}
        )
    except SettingsError as error:
        found.append(str(error))
    except ValidationError as error:
        found += [_message(problem, given) for problem in problems(error)]
    if found:
        raise SettingsError("; ".join(found))
    return settings, {field: source for field, (_, source) in given.items()}


def service_links() -> list[str]:
    """Return the names of the variables of the environment that Kubernetes or Docker has set."""
    # The port is the only setting that has the name of such a variable, which is no number.
    links = find_service_links(_environment())
    return sorted(link for link in links if link == _variable("port") or link not in _known())


def _environment() -> dict[str, str]:
    return {name.upper(): text for name, text in os.environ.items()}  # any case is accepted


def _variable(field: str) -> str:
    return PREFIX + field.upper()


def _known() -> list[str]:
    """Return the names of all variables of the service."""
    return [_variable(name) for name in (*Settings.model_fields, *(f"{it}_file" for it in SECRETS))]


def _misspelt(place: str, variables: dict[str, Given]) -> list[str]:
    """Return an error for each variable that is unknown or has no value.

    A variable without the prefix is unknown if its name is nearly that of a setting: the API key
    would stay unset.
    """
    known, found = _known(), []
    for name, (text, _) in sorted(variables.items()):
        is_ours = name.startswith(PREFIX)
        # A mistake leaves one of these, and comparing every variable takes milliseconds.
        if not ("STREET" in name or "LIGHT" in name):
            continue
        if name not in known and (
            close := difflib.get_close_matches(name, known, 1, 0.6 if is_ours else SIMILAR)
            or (known if is_ours else [])
        ):
            found.append(f"{name}{place}: unknown setting; did you mean {' or '.join(close)}?")
        elif is_ours and text is None:
            found.append(f"{name}{place}: expected {name}=VALUE, got no value")
    return found


def _message(problem: Problem, given: dict[str, Given]) -> str:
    # Only the name of the setting is in capitals, not the path to a value in its JSON.
    name = re.split(r"[.\[]", problem.field)[0]
    message = problem.message
    if name in SECRETS:
        message = message.partition(", got ")[0]
    source = given[name].source if name in given else ""
    variable = source if source in VERTEX else _variable(name)
    return f"{variable}{problem.field[len(name) :]}: {message}"


def _read_secrets(variables: dict[str, Given]) -> dict[str, Given]:
    """Return the settings whose values are in files, without the newline at the end."""
    secrets = {}
    for field in SECRETS:
        setting = _variable(field)
        variable = f"{setting}_FILE"
        path = variables[variable].text if variable in variables else None
        if path is None:
            continue
        if setting in variables:
            raise SettingsError(f"{setting} and {variable}: expected one of them, got both")
        try:
            secret = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it isn't UTF-8 text"
            raise SettingsError(f"{variable}: can't read {path}: {reason}") from None
        if not secret:
            raise SettingsError(f"{variable}: expected the value in {path}, got an empty file")
        secrets[field] = Given(secret, f"{variable}: {path}")
    return secrets
