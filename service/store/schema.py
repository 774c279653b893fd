"""Create the tables, or migrate them to the revision of this release; refuse what it can't use.

Each schema has a table with its revision. A new database gets today's tables, an older one runs
`migrations`; both end with the same tables. Alembic is imported only for a migration.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, inspect, select
from sqlalchemy.exc import DBAPIError

from streetlight.model.registry.file_lock import file_lock
from streetlight.service.store.engine import describe, ordered_write_transaction
from streetlight.service.store.tables import PARTIAL_INDEXES, metadata, prediction_log

# Instead of the revision of tables from the time before there were revisions. They have at least
# what revision 0001 has.
UNVERSIONED = "0000"


class SchemaError(DBAPIError):
    """The database answers, but its tables aren't those of this release, or are missing."""

    def __init__(self, reason: str) -> None:
        super().__init__(None, None, ValueError(reason))
        self.reason = reason

    def __str__(self) -> str:
        return describe(self)


@dataclass(frozen=True)
class Schema:
    """Tables that are migrated together.

    Attributes:
        name: also the folder of its migrations.
        metadata: the tables of this release.
        revision: the revision that has these tables.
        first_tables: the tables of revision 0001.
    """

    name: str
    metadata: MetaData
    revision: str
    first_tables: frozenset[str]

    @property
    def versions(self) -> Table:
        """The table of Alembic with the revision; PostgreSQL has both schemas in one database."""
        revision = Column("version_num", String(32), primary_key=True)
        return Table(f"alembic_version_{self.name}", MetaData(), revision)


LEDGER = Schema("ledger", metadata, "0005", frozenset({"observations", "jobs", "idempotency"}))
PREDICTION_LOG = Schema("prediction_log", prediction_log, "0001", frozenset({"predictions"}))


def upgrade(
    engine: Engine,
    schema: Schema,
    data_dir: Path,
    on_create: Callable[[Connection], object] = lambda _: None,
    before_create: Callable[[], object] = lambda: None,
) -> str | None:
    """Bring the tables to the revision of this release, and return the revision before.

    `None` means that there were no tables: `before_create` may raise an error to leave it at that,
    and `on_create` inserts the first rows. All of it happens in one transaction, so a crash leaves
    the schema as it was. Any number of processes may call this function at the same time: one of
    them changes the schema.

    Raises:
        SchemaError: the tables are those of a newer release, or incomplete.
        LockedError, DBAPIError: another process holds a lock for too long, or the database fails.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    try:
        before = None
        if not _is_new_file(engine):
            with engine.connect() as connection:
                before = _revision(connection, schema)
        if before == schema.revision:
            return before
        if before is not None:
            # Before the transaction, which PostgreSQL ends if it is idle for long.
            import_module("alembic.command")
        # A migration takes as long as it takes.
        patient = engine.execution_options(migrates=True)
        # The file lock excludes the processes on this host before they connect. The lock of the
        # transaction also excludes those on other hosts that share the database.
        with file_lock(data_dir / ".schema.lock"), ordered_write_transaction(patient) as connection:
            before = _revision(connection, schema)
            if before is None:
                before_create()
                create_tables(connection, schema)
                on_create(connection)
            elif before != schema.revision:
                _migrate(connection, schema, before)
    except SchemaError:
        # A connection to a file would not notice that another one takes its place.
        engine.dispose()
        raise
    return before


def _is_new_file(engine: Engine) -> bool:
    """Return whether the SQLite file is new: two processes can't both make it a database."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return False
    file = Path(engine.url.database)
    return not file.exists() or file.stat().st_size == 0


def _revision(connection: Connection, schema: Schema) -> str | None:
    """Return the revision of the tables; `None` if there are none."""
    tables = set(inspect(connection).get_table_names())
    if schema.versions.name not in tables:
        if not (found := schema.first_tables & tables):
            return None
        if missing := schema.first_tables - tables:
            raise SchemaError(
                f"it has a table {min(found)} and no table {min(missing)}; restore a backup, "
                "or use an empty database"
            )
        return UNVERSIONED
    revisions = connection.execute(select(schema.versions)).scalars().all()
    if len(revisions) != 1:
        raise SchemaError(
            f"{schema.versions.name} has {len(revisions)} rows, expected one, with "
            f"{schema.revision} or an earlier revision; restore a backup"
        )
    revision: str = revisions[0]
    if revision not in {f"{number:04}" for number in range(1, int(schema.revision) + 1)}:
        raise SchemaError(
            f"{schema.versions.name} has revision {revision}, and this release knows those up to "
            f"{schema.revision}; start the release that upgraded the database, or restore a backup"
        )
    return revision


def create_tables(connection: Connection, schema: Schema) -> None:
    """Create the tables of this release, where there are none."""
    schema.metadata.create_all(connection)
    for name, (table, definition) in PARTIAL_INDEXES.items():
        if table in schema.metadata.tables:
            connection.exec_driver_sql(f"CREATE INDEX {name} ON {table} {definition}")
    _add_revision(connection, schema, schema.revision)


def _add_revision(connection: Connection, schema: Schema, revision: str) -> None:
    schema.versions.create(connection)
    connection.execute(schema.versions.insert().values(version_num=revision))


def _migrate(connection: Connection, schema: Schema, before: str) -> None:
    # Here, because most starts have nothing to migrate.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    if before == UNVERSIONED:
        _add_revision(connection, schema, "0001")
    migrations = "streetlight.service.store:migrations"
    config = Config()
    config.attributes.update(connection=connection, version_table=schema.versions.name)
    config.set_main_option("script_location", migrations)
    config.set_main_option("version_locations", f"{migrations}/{schema.name}")
    config.set_main_option("path_separator", "newline")
    command.upgrade(config, "head")
