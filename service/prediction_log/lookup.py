"""Find the logged predictions that observations name. `queries` reads the log by page."""

import time
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Engine, func, select

from streetlight.service.prediction_log.recorder import is_sampled
from streetlight.service.store.tables import predictions as table

# The number of predictions looked up by one query; databases limit the parameters of a statement.
BATCH_SIZE = 1000
# Seconds between two tries to find a prediction that isn't written yet.
INTERVAL = 0.1


class Key(NamedTuple):
    """What names a prediction: the id of its request, and the text of its light state.

    The rows of a request have one id. A client may also send an id again.
    """

    request_id: str
    lights: str


class Decided(NamedTuple):
    """The version that predicted, and its decision: 1 for walk, 0 for stop."""

    version: int
    said: int


@dataclass(frozen=True)
class Lookup:
    """Finds predictions in the log.

    Attributes:
        engine: the engine of the log's database.
        sample: the share of the requests that are logged.
        seconds: how long to wait for a prediction: workers write the log after their responses.
    """

    engine: Engine
    sample: float = 1.0
    seconds: float = 0.0

    def find(self, keys: AbstractSet[Key]) -> dict[Key, Decided]:
        """Return the predictions that have these keys; of several with one key, the newest."""
        deadline = time.monotonic() + self.seconds
        found = _find(self.engine, keys)
        late = {key for key in keys if is_sampled(key.request_id, self.sample)}
        while (missing := late - found.keys()) and time.monotonic() < deadline:
            time.sleep(INTERVAL)
            found |= _find(self.engine, missing)
        return found


def _find(engine: Engine, keys: AbstractSet[Key]) -> dict[Key, Decided]:
    columns = [table.c[name] for name in (*Key._fields, "version", "decision")]
    found, wanted = {}, sorted(keys)
    with engine.connect() as connection:
        for start in range(0, len(wanted), BATCH_SIZE):
            batch = wanted[start : start + BATCH_SIZE]
            # In the database, since a client may have sent an id with any number of requests.
            newest = (
                select(func.max(table.c.id))
                .where(
                    table.c.request_id.in_({key.request_id for key in batch}),
                    table.c.lights.in_({key.lights for key in batch}),
                )
                .group_by(table.c.request_id, table.c.lights)
            )
            query = select(*columns).where(table.c.id.in_(newest))
            for request_id, lights, version, decision in connection.execute(query):
                found[Key(request_id, lights)] = Decided(version, decision)
    return found
