"""Insert predictions into the table of the log, and delete the oldest.

`recorder` calls this in its transactions.
"""

import time
from collections.abc import Sequence
from itertools import chain
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Connection, delete, func, literal, select

from streetlight.service.store.tables import predictions as table

COLUMNS = [column.name for column in table.columns if column.name != "id"]
Row = tuple[Any, ...]


def insert(connection: Connection, batch: Sequence[Row]) -> None:
    """Insert rows, each with the values of `COLUMNS`."""
    # One statement, for which the driver releases the interpreter's lock once: `executemany`
    # does so for each row, and competes for it with the event loop.
    names = ", ".join(f'"{name}"' for name in COLUMNS)
    parameters: tuple[Any, ...]
    if connection.dialect.name == "postgresql":
        # One parameter: psycopg takes 28 us for the placeholders of a row.
        types = [table.c[name].type.compile(connection.dialect) for name in COLUMNS]
        values = ", ".join(f"(item ->> {i})::{kind}" for i, kind in enumerate(types))
        rows = f"SELECT {values} FROM json_array_elements(%s::json) AS item"  # noqa: S608 - no values
        parameters = (to_json(batch).decode(),)
    else:
        values = f"({', '.join('?' * len(COLUMNS))})"
        rows = f"VALUES {', '.join([values] * len(batch))}"
        parameters = tuple(chain.from_iterable(batch))
    connection.exec_driver_sql(f"INSERT INTO {table.name} ({names}) {rows}", parameters)


def delete_oldest(connection: Connection, limit: int, max_rows: int, max_age: float) -> int:
    """Delete rows beyond `max_rows` or older than `max_age` seconds, and return how many.

    They are at most `limit`, from the smallest id on, and from the earliest time on: both, because
    ids don't follow the times after a clock was set back.
    """
    deleted, id_, at = 0, table.c.id, table.c.at
    for column, end in (
        (id_, select(func.max(id_) + 1 - max_rows).scalar_subquery()),
        (at, literal(time.time() - max_age)),
    ):
        due = select(id_).where(column < end).order_by(column).limit(limit - deleted)
        deleted += connection.execute(delete(table).where(id_.in_(due))).rowcount
    return deleted
