"""`PromotionLog`: an append-only file with a JSON line for each change of the live version.

The live version is determined by `live_link`, not by the log. Rollback reads the log to find the
version that was live before. The lock for appending is in `repository`.
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
    """One change of the live version, from `instead_of` to `version`, at `at` (UTC, ISO 8601).

    `recover` is a change that a crash kept out of the log. For `unload`, both numbers are those of
    the version that is no longer live, and no version is live after it.
    """

    at: str
    action: Action
    version: int
    instead_of: int | None
    reason: str


class PromotionLog:
    """The promotion log in the file at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Promotion]:
        """Return every promotion, oldest first, without a last line that a crash cut short."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return [Promotion(**json.loads(line)) for line in text.split("\n")[:-1]]

    def append(
        self, action: Action, version: int, instead_of: int | None, reason: str
    ) -> Promotion:
        """Append a line durably and return it; the caller must hold the promote lock.

        Raises:
            OSError: the line is not written completely. The next append removes an incomplete line.
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
        """Return the promotion history: the versions that rollbacks step back through.

        The last element is the version that is live according to the log, the one before it is the
        target of the next rollback.
        """
        live_history: list[int] = []
        for promotion in self.read():
            back = promotion.action != "promote" and live_history[-2:-1] == [promotion.version]
            if back:
                live_history.pop()
            elif live_history[-1:] != [promotion.version]:
                live_history.append(promotion.version)
        return live_history
