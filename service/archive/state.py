"""Where the state of a service is: in a folder and SQLite files, or in PostgreSQL.

With PostgreSQL, the tables `versions` and `promotions` have the versions. With SQLite, the folder
has them, and these tables are empty.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, inspect, text

from streetlight.model.registry.promotion_log import Promotion
from streetlight.model.registry.version import VersionDamagedError
from streetlight.service.config.settings import Settings
from streetlight.service.store.engine import open_engine
from streetlight.service.store.tables import (
    hosts,
    jobs,
    metadata,
    predictions,
    promotions,
    versions,
)
from streetlight.service.wiring import Services

# The tables that an archive has as they are. `hosts` says which hosts run, and isn't restored.
ARCHIVED = [t for t in metadata.tables.values() if t not in (versions, promotions, hosts)]


def is_shared(engine: Engine) -> bool:
    """Return whether the database has the versions."""
    return engine.dialect.name == "postgresql"


def allow_pauses(connection: Connection) -> None:
    """Let PostgreSQL wait for the next statement of a transaction: an archive may be on a pipe."""
    if is_shared(connection.engine):
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '1h'"))


def has_ledger(engine: Engine) -> bool:
    """Return whether the database has tables."""
    if not is_shared(engine) and not database_file(engine).exists():
        return False  # connecting would create the file
    return inspect(engine).has_table(jobs.name)


def database_file(engine: Engine) -> Path:
    """Return the path of a SQLite database."""
    return Path(str(engine.url.database))


def prediction_log_file(settings: Settings) -> Path:
    """Return the path of the prediction log's database, if the service uses SQLite."""
    return settings.data_dir / "predictions.db"


@contextmanager
def prediction_log_engine(services: Services) -> Iterator[Engine | None]:
    """Yield an engine for the prediction log, if there is one, even if the setting is off."""
    engine = services.engine
    if is_shared(engine):
        yield engine if inspect(engine).has_table(predictions.name) else None
        return
    if not (file := prediction_log_file(services.settings)).exists():
        yield None  # connecting would create the file
        return
    engine = open_engine(f"sqlite:///{file}")
    try:
        yield engine if inspect(engine).has_table(predictions.name) else None
    finally:
        engine.dispose()


def promotion_rows(log: Iterable[Promotion]) -> list[dict[str, Any]]:
    """Return the entries of a promotion log as rows of the table `promotions`.

    Raises:
        VersionDamagedError: an entry has no time.
    """
    rows = []
    for i, entry in enumerate(log, 1):
        try:
            at = datetime.fromisoformat(entry.at).timestamp()
        except ValueError as error:
            raise VersionDamagedError(f"promotions.jsonl: entry {i}: at: {error}") from error
        rows.append(vars(entry) | {"id": i, "at": at})
    return rows


def promotion(row: dict[str, Any]) -> Promotion:
    """Return a row of the table `promotions` as the log has it."""
    at = datetime.fromtimestamp(row["at"], UTC)
    # The log has milliseconds, the table may have microseconds.
    digits = "microseconds" if at.microsecond % 1000 else "milliseconds"
    fields = {name: value for name, value in row.items() if name != "id"}
    return Promotion(**fields | {"at": at.isoformat(timespec=digits)})
