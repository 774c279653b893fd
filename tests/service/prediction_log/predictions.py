"""Predictions for tests, put into the log without a server."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, insert

from streetlight.service.store.tables import predictions as table


def log_predictions(engine: Engine, *rows: dict[str, Any]) -> None:
    """Add predictions to the log; each is `{"lights": [1, 0, 1]}` with the columns that differ."""
    with engine.begin() as connection:
        connection.execute(insert(table), [_columns(**row) for row in rows])


def _columns(lights: Sequence[float], **columns: Any) -> dict[str, Any]:
    usual = {
        "at": 1.0,
        "request_id": "r",
        "row": 0,
        "dialect": "native",
        "version": 1,
        "score": 1.0,
        "decision": 1,
    }
    return usual | {"lights": json.dumps(list(map(float, lights)))} | columns
