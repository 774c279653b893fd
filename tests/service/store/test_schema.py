"""A database of an older release gets the tables, columns and indexes that it lacks."""

from pathlib import Path

from sqlalchemy import inspect

from streetlight.service.learning import queue
from streetlight.service.learning.job import JobSpec
from streetlight.service.store.engine import write_transaction
from streetlight.service.store.tables import PARTIAL_INDEXES, REPLACED_INDEXES, metadata
from streetlight.service.validation.recipe_fields import DEFAULT_RECIPE
from streetlight.service.wiring import initialize
from tests.service.services import services_in


def test_what_an_older_schema_lacks_is_added(tmp_path: Path, database_url: str | None) -> None:
    with services_in(tmp_path, database_url, start_empty=True) as services:
        engine = services.engine
        job = queue.submit(engine, JobSpec(DEFAULT_RECIPE), None)
        with write_transaction(engine) as connection:
            connection.exec_driver_sql("DROP INDEX ix_idempotency_at")
            connection.exec_driver_sql("DROP INDEX ix_jobs_unfinished")
            connection.exec_driver_sql("DROP TABLE observations")
            connection.exec_driver_sql("CREATE INDEX ix_observations_version ON jobs (id)")
            connection.exec_driver_sql("ALTER TABLE jobs DROP COLUMN verdict")
            connection.exec_driver_sql("ALTER TABLE jobs DROP COLUMN cancel_requested")
        initialize(services)
        assert queue.get(engine, job.id) == job
        inspector = inspect(engine)
        for table in metadata.tables.values():
            columns = {column["name"] for column in inspector.get_columns(table.name)}
            assert columns == {column.name for column in table.columns}
            indexes = {index["name"] for index in inspector.get_indexes(table.name)}
            assert indexes >= {index.name for index in table.indexes}
            assert indexes >= {
                name for name, (on, _) in PARTIAL_INDEXES.items() if on == table.name
            }
            assert not indexes & set(REPLACED_INDEXES)
