"""The record of promotions: an append-only file, one JSON line for each time a version went live.

It remembers; it doesn't decide. Which version is live, a link in `repository` says, and the lock
under which lines are added is held there too.
"""

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

Action = Literal["promote", "rollback", "recover", "unload"]


@dataclass(frozen=True)
class Promotion:
    """`version` went live instead of `instead_of`, at `at` (UTC, ISO 8601), for `reason`.

    A `recover` stands for a promotion that a crash kept off the record. With an `unload`, `version`
    stopped answering, and none did instead.
    """

    at: str
    action: Action
    version: int
    instead_of: int | None
    reason: str


class PromotionLog:
    """The record in the file at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Promotion]:
        """Every promotion, oldest first; a last line that a crash cut short is left out."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return [Promotion(**json.loads(line)) for line in text.split("\n")[:-1]]

    def append(
        self, action: Action, version: int, instead_of: int | None, reason: str
    ) -> Promotion:
        """Add a line, durably; the caller holds the lock.

        Raises:
            OSError: the line is not, or not wholly, written; what is there of it doesn't count.
        """
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        promotion = Promotion(at, action, version, instead_of, reason)
        with self.path.open("a+b") as file:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
            file.write(json.dumps(asdict(promotion)).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return promotion

    def live_history(self) -> list[int]:
        """The versions that rollbacks step back through; the last is the one on record as live."""
        live_history: list[int] = []
        for promotion in self.read():
            back = promotion.action != "promote" and live_history[-2:-1] == [promotion.version]
            if back:
                live_history.pop()
            elif live_history[-1:] != [promotion.version]:
                live_history.append(promotion.version)
        return live_history
