"""Settings: what an operator may choose, read from the environment once and frozen.

Every setting is a `STREETLIGHT_…` variable, in the environment or in a file `.env`.
"""

import difflib
import os
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from streetlight.service.validation.fields import MustHolds
from streetlight.service.validation.problems import problems

PREFIX = "STREETLIGHT_"
# What Vertex AI calls some of them, in the containers that it runs.
VERTEX = {
    "AIP_HTTP_PORT": "port",
    "AIP_HEALTH_ROUTE": "health_route",
    "AIP_PREDICT_ROUTE": "predict_route",
}


class SettingsError(ValueError):
    """A setting can't be used; the message names it."""


class Settings(BaseSettings):
    """The settings, their types, bounds and defaults."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", frozen=True, extra="ignore"
    )

    data_dir: Path = Field(Path("data"), description="The folder that holds all state.")
    host: str = Field("127.0.0.1", min_length=1, description="The address to listen on.")
    port: int = Field(8000, ge=1, le=65535, description="The port to listen on.")
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        le=256,
        description="Processes that answer requests, 4 threads each.",
    )
    api_key: SecretStr | None = Field(
        None,
        min_length=1,
        description="The key that requests that change state must bear.",
    )
    model_name: str = Field(
        "streetlight",
        pattern=r"[^/:]{1,100}",
        description="What the model is called in the routes of other servers' protocols.",
    )
    health_route: str | None = Field(
        None, pattern="/.*", description="One more route for what /readyz answers."
    )
    predict_route: str | None = Field(
        None, pattern="/.*", description="One more route for what /invocations answers."
    )
    max_body_bytes: int = Field(
        32 * 1024 * 1024, ge=1024, le=1024**3, description="The largest request body, in bytes."
    )

    database_url: str | None = Field(
        None, min_length=1, description="Of observations and jobs; SQLite in the data directory."
    )
    start_empty: bool = Field(
        False, description="Whether the ledger starts without the lab's four observations."
    )
    trainer: bool = Field(
        True, description="Whether `serve` keeps a trainer; false where one runs elsewhere."
    )
    job_lease: float = Field(
        30,
        ge=1,
        le=3600,
        description="Seconds of silence after which a job is tried again.",
    )
    must_hold: MustHolds = Field(
        (), description="Light patterns that every version must decide so, as JSON."
    )
    retrain_after: int | None = Field(
        None, ge=1, description="Retrain by itself after so many new observations."
    )
    retrain_below: float | None = Field(
        None, gt=0, le=1, description="Retrain by itself where the live accuracy falls below this."
    )
    retrain_window: int = Field(
        50, ge=1, le=100_000, description="How many of the last observations that accuracy is over."
    )

    @property
    def database(self) -> str:
        """The URL of the database."""
        return self.database_url or f"sqlite:///{self.data_dir / 'streetlight.db'}"

    @property
    def models_dir(self) -> Path:
        """Where the versions are."""
        return self.data_dir / "models"


def load_settings() -> Settings:
    """Read the settings.

    Raises:
        SettingsError: a value is of the wrong kind or out of bounds, or a name is unknown.
    """
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    complaints = []
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known:
            close = difflib.get_close_matches(name, known, 1) or known
            complaints.append(f"{name}: unknown setting; did you mean {' or '.join(close)}?")
    try:
        given: dict[str, Any] = {
            field: os.environ[name] for name, field in VERTEX.items() if name in os.environ
        }
        settings = Settings(**given)
    except ValidationError as error:
        complaints += [
            f"{PREFIX}{problem.field.upper()}: {problem.message}" for problem in problems(error)
        ]
    if complaints:
        raise SettingsError("; ".join(complaints))
    return settings
