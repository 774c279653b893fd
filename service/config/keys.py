"""The API keys: their names and rights, and the file that has them, which is read as it changes.

`web.middleware.auth` has the right that each request requires.
"""

import hashlib
import hmac
import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    TypeAdapter,
    ValidationError,
)

from streetlight.service.config.errors import SettingsError
from streetlight.service.config.names import KeyName
from streetlight.service.config.settings import PREFIX, Settings
from streetlight.service.validation.problems import problems
from streetlight.service.validation.request_schema import Schema

Right = Literal["read", "predict", "observe", "train", "admin"]

# Seconds between two reads of the file.
READ_INTERVAL = 1.0
# The name of the key in the setting `api_key`.
DEFAULT_NAME = "default"

log = logging.getLogger(__name__)


def _check_key(key: str) -> str:
    if key != key.strip() or not key.isprintable():
        raise ValueError("expected printable characters, without a space at either end")
    return key


class KeyEntry(Schema):
    """An entry of the file: a key, its name, and what its requests may do."""

    name: KeyName
    key: Annotated[
        str, Field(min_length=1, max_length=1000, repr=False), AfterValidator(_check_key)
    ]
    rights: Annotated[tuple[Right, ...], Field(min_length=1)]


_entries = TypeAdapter(list[KeyEntry])


@dataclass(frozen=True)
class ApiKey:
    """A key, of which only the SHA-256 is kept; the right `admin` includes all others."""

    name: str
    rights: frozenset[Right]
    sha256: bytes = field(repr=False)

    def has(self, right: Right) -> bool:
        """Return whether a request with the key may do what requires `right`."""
        return right in self.rights or "admin" in self.rights


class ApiKeys:
    """The keys of the settings `api_key` and `api_keys_file`.

    Attributes:
        required: whether there is any key; otherwise no request requires one.
        guards_all: whether predictions and reads require a key, too.
        problem: why the file, as it is now, can't be used; `None` if it can.
    """

    def __init__(self, settings: Settings) -> None:
        self._path = settings.api_keys_file
        self._keys: tuple[ApiKey, ...] = ()
        if settings.api_key:
            self._keys = (_api_key(DEFAULT_NAME, settings.api_key.get_secret_value(), ["admin"]),)
        self._fixed = self._keys
        self.required = bool(self._keys or self._path)
        self.guards_all = settings.guard == "all"
        self.problem: str | None = None

    def find(self, key: bytes) -> ApiKey | None:
        """Return the key whose text is `key`; the time it takes does not depend on the text."""
        sha256, found = hashlib.sha256(key).digest(), None
        for candidate in self._keys:
            if hmac.compare_digest(candidate.sha256, sha256):
                found = candidate
        return found

    def load(self) -> None:
        """Read the file, if there is one.

        Raises:
            SettingsError: the file can't be used; the keys are what they were. Or there is no key,
                and the setting `guard` requires one.
        """
        if self.guards_all and not self.required:
            raise SettingsError(
                f"{PREFIX}GUARD: expected a key with `all`, got none; set {PREFIX}API_KEY or "
                f"{PREFIX}API_KEYS_FILE"
            )
        if self._path:
            self._keys = _read(self._path, self._fixed)

    def reload(self) -> bool:
        """Read the file again, and return whether there are other keys now.

        If the file can't be used, log that once, and keep the keys.
        """
        keys, problem = self._keys, self.problem
        try:
            self.load()
            self.problem = None
        except SettingsError as error:
            self.problem = str(error)
        names = ", ".join(key.name for key in self._keys) or "no client"
        if self.problem and self.problem != problem:
            log.error("%s; the API keys stay those of %s", self.problem, names)
        elif (problem and not self.problem) or self._keys != keys:
            log.info("the API keys are now those of %s", names)
        return self._keys != keys

    def follow_file(self, changed: Callable[[], object]) -> None:
        """Read the file in a thread every `READ_INTERVAL` seconds; call `changed` at each change.

        A change is noticed by the content: of what a mounted secret or an editor replaces, neither
        the time nor the name says that it is complete.
        """

        def follow() -> None:
            while True:
                time.sleep(READ_INTERVAL)
                if self.reload():
                    changed()

        if self._path:
            # The process that this one was forked from may have read keys that were removed since.
            self._keys = self._fixed
            self.reload()
            threading.Thread(target=follow, daemon=True, name="keys").start()


def _api_key(name: str, key: str, rights: Iterable[Right]) -> ApiKey:
    return ApiKey(name, frozenset(rights), hashlib.sha256(key.encode()).digest())


def _without_key(message: str) -> str:
    """Return a message without the value that came, unless that is a name or a right."""
    is_shown = re.match(r"\[\d+\]\.(name|rights)\b", message)
    return message if is_shown else message.partition(", got ")[0]


def _read(path: Path, fixed: tuple[ApiKey, ...]) -> tuple[ApiKey, ...]:
    """Return the keys in the file at `path`, and `fixed`; an error never has a key in its text."""
    variable = f"{PREFIX}API_KEYS_FILE"
    try:
        entries = _entries.validate_json(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"{variable}: can't read {path}: {error.strerror}") from None
    except ValidationError as error:
        found = [_without_key(str(problem)) for problem in problems(error)]
        raise SettingsError(f"{variable}: {path}: {'; '.join(found)}") from None
    keys = fixed + tuple(_api_key(entry.name, entry.key, entry.rights) for entry in entries)
    counts = Counter(key.sha256 for key in keys)
    for i, key in enumerate(keys[len(fixed) :]):
        if counts[key.sha256] > 1:
            raise SettingsError(
                f"{variable}: {path}: [{i}].key: expected a key that no other entry has, and that "
                f"isn't {PREFIX}API_KEY, got one of them"
            )
    return keys
