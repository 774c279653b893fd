"""The settings: their names, types, bounds, defaults and descriptions.

docs/settings.md is generated from the descriptions. `sources` reads the values.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    IPvAnyNetwork,
    Json,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticKnownError, from_json

from streetlight.model.exam import MAX_EXAM, MIN_EXAM
from streetlight.service.config.names import Folder, HostName, ModelName, Origin, RoutePath
from streetlight.service.config.webhook import WebhookSecrets, WebhookURL
from streetlight.service.validation.fields import ExamAmount, MustHolds
from streetlight.service.validation.recipe_fields import DEFAULT_RECIPE, RecipeFields

PREFIX = "STREETLIGHT_"
# Threads of each worker process.
THREADS = 20
# Those that may use the database at the same time: while it doesn't answer, the others answer the
# requests that don't need it.
DATABASE_THREADS = 8


def _parse_json(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return from_json(value)
    except (TypeError, ValueError) as error:  # TypeError: the text isn't UTF-8
        raise PydanticKnownError("json_invalid", {"error": str(error)}) from None


def _check_recipe(fields: RecipeFields) -> RecipeFields:
    fields.recipe(DEFAULT_RECIPE)  # raises an error if a field is out of bounds
    return fields


def _check_ends(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if text != text.strip():  # HTTP has no space at the ends of a header's value
        raise ValueError("expected a key without a space at either end")
    return key


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.split(",") if part.strip()]


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


LogLevel = Literal["debug", "info", "warning", "error"]
Networks = Annotated[tuple[IPvAnyNetwork, ...], BeforeValidator(_split)]


class Settings(BaseModel, frozen=True, extra="forbid", validate_default=True):
    """The settings, their types, bounds and defaults."""

    data_dir: Folder = Field(
        Path("data"),
        description="Directory that holds the versions and, by default, the database; with "
        "PostgreSQL, this host's copy of the versions.",
    )
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8000, ge=1, le=65535, description="TCP port to listen on.")
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        le=256,
        description=f"Number of worker processes, each with {THREADS} threads. "
        "Default: the number of processors.",
    )
    api_key: Annotated[SecretStr, AfterValidator(_check_ends)] | None = Field(
        None,
        min_length=1,
        description="Key that requests that change state must send: `Authorization: Bearer KEY`. "
        "It has the name `default` and every right. Without any key, every client that reaches the "
        "port can change state.",
    )
    api_keys_file: Path | None = Field(
        None,
        description="JSON file with API keys, their names and their rights: "
        '`[{"name": "ci", "key": "…", "rights": ["observe", "train"]}]`. It is read again within a '
        "second of a change.",
    )
    guard: Literal["changes", "all"] = Field(
        "changes",
        description="Which requests must send a key, if there is one: those that change state or "
        "show what clients have sent (`changes`), or predictions and all reads, too (`all`). "
        "Health checks, the files of the page and the API documentation never need one.",
    )
    allowed_hosts: Annotated[tuple[HostName, ...], BeforeValidator(_split)] = Field(
        (),
        description="Names of this server, separated by commas, under which a browser may change "
        "state without an API key. IP addresses, localhost and `STREETLIGHT_HOST` always may.",
    )
    trusted_proxies: Networks = Field(
        (),
        description="Addresses or networks of proxies, separated by commas, that set or remove "
        "each of `X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix`; only theirs are read.",
    )
    cors_origins: Annotated[tuple[Origin, ...], BeforeValidator(_split)] = Field(
        (),
        description="Origins of other pages, such as `https://app.example.org`, separated by "
        "commas, that may read responses, and change state with an API key; `*` for all.",
    )
    model_name: ModelName = Field(
        "streetlight",
        description="Name of the model in the routes of the V1 and V2 protocols.",
    )
    health_route: RoutePath | None = Field(
        None, description="Additional path that answers like `/readyz`."
    )
    predict_route: RoutePath | None = Field(
        None, description="Additional path that answers like `/invocations`."
    )
    log_level: Annotated[LogLevel, BeforeValidator(_lower)] = Field(
        "info",
        description="Least important messages in the log. `debug` adds the successful requests of "
        "health checks and of `/metrics`, and what gunicorn and other libraries say; `warning` "
        "leaves the lines of requests out.",
    )
    max_body_bytes: int = Field(
        32 * 1024 * 1024,
        ge=1024,
        le=1024**3,
        description="Largest request body in bytes, before and after decompression; "
        "a larger one is answered with 413.",
    )
    max_multiplications: int = Field(
        500_000_000,
        ge=1_000_000,
        le=10**12,
        description="Largest number of multiplications for one request, which are rows times "
        "weights; 1,000,000,000 take about a second. A training in a request counts by its time. A "
        "request that needs more is answered with 413.",
    )
    max_response_bytes: int = Field(
        32 * 1024 * 1024,
        ge=1024 * 1024,
        le=1024**3,
        description="Largest response in bytes, estimated before it is computed; a request for a "
        "larger one is answered with 413.",
    )

    database_url: SecretStr | None = Field(
        None,
        min_length=1,
        description="URL of the database of observations and jobs, such as "
        "`postgresql+psycopg://…` with the extra `postgresql`, which then has the versions, too. "
        "Default: a SQLite file in the data directory.",
    )
    prediction_log: bool = Field(
        False,
        description="Keep a log of predictions: the light states, the scores, and the request ids. "
        "It is in the file `predictions.db` of the data directory, or in PostgreSQL.",
    )
    prediction_log_sample: float = Field(
        1,
        ge=0,
        le=1,
        description="Share of the requests whose predictions are logged; 0 logs none, and the log "
        "can still be read.",
    )
    prediction_log_rows: int = Field(
        10_000_000,
        ge=1000,
        le=10**10,
        description="Largest number of predictions in the log; the oldest are deleted.",
    )
    prediction_log_days: float = Field(
        30,
        gt=0,
        le=36_500,
        description="Age in days after which a prediction is deleted from the log.",
    )
    start_empty: bool = Field(
        False, description="Create the ledger empty, without the lab's four observations."
    )
    trainer: bool = Field(
        True,
        description="Run a trainer beside the server; "
        "`false` where `streetlight work` runs elsewhere.",
    )
    job_lease: float = Field(
        30,
        ge=1,
        le=3600,
        description="Seconds after which a job whose trainer sends no heartbeat is tried again.",
    )
    must_hold: Annotated[MustHolds, BeforeValidator(_parse_json)] = Field(
        (),
        description="Light patterns and the decision that a version must give to go live, as JSON: "
        '`[{"lights": [0, 0, 1], "outcome": "stop"}]`.',
    )
    exam: ExamAmount = Field(
        0.2,
        description="Observations that a training holds back, to compare its version with the live "
        "one: below 1 a share of those that the live version hasn't learnt from, at least "
        f"{MIN_EXAM} and at most {MAX_EXAM:,}; from 1 on, a number of observations; 0 for none.",
    )
    retrain_after: int | None = Field(
        None,
        ge=1,
        description="Number of new observations after which a retraining is queued.",
    )
    retrain_below: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Accuracy of the live version below which a retraining is queued: the upper "
        "end of its 95 % Wilson interval has to be below.",
    )
    retrain_window: int = Field(
        50,
        ge=1,
        le=100_000,
        description="Number of latest observations from which that accuracy is computed.",
    )

    retrain_recipe: Annotated[Json[RecipeFields], AfterValidator(_check_recipe)] | None = Field(
        None,
        description="Recipe of automatic retrainings, as JSON with fields of `POST /retrain`: "
        '`{"iterations": 5000}`. Fields left out, by default all, are those of the live version.',
    )

    webhook_url: WebhookURL | None = Field(
        None,
        description="URL of the receiver of the [webhook](webhook.md), which gets a request when a "
        "job has ended, a version was promoted, or the accuracy has fallen.",
    )
    webhook_secret: WebhookSecrets | None = Field(
        None,
        description="Secret that signs these requests, `whsec_…` as in Standard Webhooks; several, "
        "separated by spaces, while one replaces another.",
    )
    webhook_private: bool = Field(
        False,
        description="Send these requests also to receivers in private networks and on this host.",
    )

    @field_validator("webhook_secret")
    @classmethod
    def _check_webhook(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if "webhook_url" in info.data and (info.data["webhook_url"] is None) != (secret is None):
            raise ValueError("expected if STREETLIGHT_WEBHOOK_URL is set, and only then")
        return secret

    @property
    def database(self) -> str:
        """The URL of the database: the setting, or SQLite in the data directory."""
        if self.database_url:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir / 'streetlight.db'}"

    @property
    def models_dir(self) -> Path:
        """The directory of the versions."""
        return self.data_dir / "models"
