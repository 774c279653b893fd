"""Find the observations that new observations contradict: equal lights, the other outcome."""

from sqlalchemy import Connection, Text, func, select, text

from streetlight.service.store.tables import observations as table

# The number of ids listed for an observation that contradicts others.
MAX_CONTRADICTIONS = 10


def contradicted_ids(connection: Connection, first: int, last: int) -> dict[int, list[int]]:
    """Return the first ids that each of the rows `first` to `last` contradicts, for rows that do.

    One query for all rows: one for each would hold the lock for seconds.
    """
    # PostgreSQL can be led to read the whole table for each row, in the order of ids. It uses the
    # index of states, to the rows wanted and no further, if it can't sort and if the first column
    # of the order isn't known to be constant, so there are two equal texts where one would do.
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL enable_sort = off"))
    earlier = table.alias()
    ids = (
        select(earlier.c.id)
        .where(
            earlier.c.lights.in_([table.c.lights, table.c.lights]),
            earlier.c.outcome == 1 - table.c.outcome,
            earlier.c.id < table.c.id,
            earlier.c.withdrawn_at.is_(None),
        )
        .order_by(earlier.c.lights, earlier.c.outcome, earlier.c.id)
        .limit(MAX_CONTRADICTIONS)
        .correlate(table)
        .subquery()
    )
    joined = select(func.aggregate_strings(ids.c.id.cast(Text), " ")).scalar_subquery()
    query = select(table.c.id, joined).where(table.c.id.between(first, last))
    return {row[0]: sorted(map(int, row[1].split())) for row in connection.execute(query) if row[1]}
