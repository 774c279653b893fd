"""Read the settings from the environment, from the file `.env`, and from files that these name.

A process reads the settings once. `settings` declares them.
"""

import difflib
import os
import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from streetlight.service.config.errors import SettingsError
from streetlight.service.config.settings import PREFIX, Settings
from streetlight.service.validation.problems import problems

# The variables that Vertex AI sets in the containers that it runs, and the settings for which they
# stand unless those are set, too.
VERTEX = {
    "AIP_HTTP_PORT": "port",
    "AIP_HEALTH_ROUTE": "health_route",
    "AIP_PREDICT_ROUTE": "predict_route",
}

# The settings that a file can contain, which the variable `STREETLIGHT_…_FILE` names.
SECRETS = ("api_key", "database_url")


def load_settings() -> Settings:
    """Return the settings of the environment, of `.env`, and of the files that they name.

    Raises:
        SettingsError: a variable `STREETLIGHT_…` is unknown or has no value, its value has the
            wrong type or is out of bounds, or its file can't be read; the message names each of
            them.
    """
    environment = _variables(EnvSettingsSource(Settings))
    in_file = _variables(DotEnvSettingsSource(Settings))
    found = [*_misspelt("", environment), *_misspelt(" in .env", in_file)]
    variables = in_file | environment
    given: dict[str, Any] = {
        field: os.environ[name]
        for name, field in VERTEX.items()
        if name in os.environ and PREFIX + field.upper() not in variables
    }
    try:
        given |= _read_secrets(variables)
        settings = Settings(**given)
    except SettingsError as error:
        found.append(str(error))
    except ValidationError as error:
        for problem in problems(error):
            # Only the name of the setting is in capitals, not the path to a value in its JSON.
            name = re.split(r"[.\[]", problem.field)[0]
            path = problem.field[len(name) :]
            found.append(f"{PREFIX}{name.upper()}{path}: {problem.message}")
    if found:
        raise SettingsError("; ".join(found))
    return settings


def _variables(source: EnvSettingsSource) -> dict[str, str | None]:
    """Return the variables of the service; names in capitals, though any case is accepted."""
    variables = {name.upper(): value for name, value in source.env_vars.items()}
    return {name: value for name, value in variables.items() if name.startswith(PREFIX)}


def _misspelt(place: str, variables: dict[str, str | None]) -> list[str]:
    """Return an error for each variable that is unknown or has no value.

    pydantic-settings ignores both, and would leave the API key unset.
    """
    names = [*Settings.model_fields, *(f"{field}_file" for field in SECRETS)]
    known = [PREFIX + name.upper() for name in names]
    found = []
    for name, value in sorted(variables.items()):
        if name not in known:
            close = difflib.get_close_matches(name, known, 1) or known
            found.append(f"{name}{place}: unknown setting; did you mean {' or '.join(close)}?")
        elif value is None:
            found.append(f"{name}{place}: expected {name}=VALUE, got no value")
    return found


def _read_secrets(variables: dict[str, str | None]) -> dict[str, str]:
    """Return the settings whose values are in files, without the newline at the end."""
    secrets = {}
    for field in SECRETS:
        setting = PREFIX + field.upper()
        variable = f"{setting}_FILE"
        path = variables.get(variable)
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
        secrets[field] = secret
    return secrets
