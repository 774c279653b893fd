"""`PromotionLog`: an append-only file with a JSON line for each change of the live version.

The live version is determined by the live link, not by the log. Rollback reads the log to find the
version that was live before. The lock for appending is in `repository`.
"""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from streetlight.model.registry.version_link import MAX_DIGITS

Action = Literal["promote", "rollback", "recover", "unload"]
# Characters that PostgreSQL can't store, and JSON can: NUL, and halves of a surrogate pair.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True)
class Promotion:
    """One change of the live version, from `instead_of` to `version`, at `at` (UTC, ISO 8601).

    `recover` is a change that a crash kept out of the log. For `unload`, both numbers are those of
    the version that is no longer live, and no version is live after it. Characters of the reason
    that a database can't store are replaced. `key` is the name of the API key of the request for
    it, or for the job that made it; null if none was sent, and for a command.
    """

    at: str
    action: Action
    version: int
    instead_of: int | None
    reason: str
    key: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", _UNSTORABLE.sub("\ufffd", self.reason))


class PromotionLog:
    """The promotion log in the file at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Promotion]:
        """Return every promotion, oldest first; lines that aren't promotions are left out."""
        return [promotion for promotion in self.lines() if promotion]

    def lines(self) -> list[Promotion | None]:
        """Return the promotion in each line, or `None` where there is none.

        A last line that a crash cut short isn't included.
        """
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        return [_parse(line) for line in text.split("\n")[:-1]]

    def append(
        self,
        action: Action,
        version: int,
        instead_of: int | None,
        reason: str,
        key: str | None = None,
    ) -> Promotion:
        """Append a line durably and return it; the caller must hold the promote lock.

        Raises:
            OSError: the line is not written completely. The next append removes an incomplete line.
        """
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        promotion = Promotion(at, action, version, instead_of, reason, key)
        with self.path.open("a+b") as file:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
            file.write(_line(promotion))
            file.flush()
            os.fsync(file.fileno())
        return promotion

    def replace(self, promotions: Iterable[Promotion]) -> None:
        """Replace the file by one with these promotions; the caller must hold the promote lock."""
        new = self.path.with_name(f".{self.path.name}-new")
        with new.open("wb") as file:
            file.writelines(_line(promotion) for promotion in promotions)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)


def live_history(promotions: Iterable[Promotion]) -> list[int]:
    """Return the promotion history: the versions that rollbacks step back through.

    The last element is the version that is live according to the log, the one before it is the
    target of the next rollback. If a line is damaged, the following one still names the version
    that was live between them.
    """
    live_history: list[int] = []
    for promotion in promotions:
        if promotion.instead_of and live_history[-1:] != [promotion.instead_of]:
            live_history.append(promotion.instead_of)
        back = promotion.action != "promote" and live_history[-2:-1] == [promotion.version]
        if back:
            live_history.pop()
        elif live_history[-1:] != [promotion.version]:
            live_history.append(promotion.version)
    return live_history


def _line(promotion: Promotion) -> bytes:
    fields = asdict(promotion)
    if promotion.key is None:
        del fields["key"]  # releases that don't know it read no line that has it
    return json.dumps(fields).encode() + b"\n"


def _parse(line: str) -> Promotion | None:
    try:
        fields: Any = json.loads(line)
        promotion = Promotion(**fields)
    except (ValueError, TypeError, RecursionError):
        return None
    is_valid = (
        fields["action"] in get_args(Action)
        and isinstance(fields["at"], str)
        and isinstance(fields["reason"], str)
        and isinstance(fields.get("key"), str | None)
        and _is_number(fields["version"])
        and (fields["instead_of"] is None or _is_number(fields["instead_of"]))
    )
    return promotion if is_valid else None


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < 10**MAX_DIGITS
