"""Resolve the version for a request: the live one, or one with a given number or label."""

import re
from dataclasses import dataclass

from streetlight.model.registry.repository import ModelRepository, VersionNotFoundError
from streetlight.model.registry.version import Version, VersionDamagedError
from streetlight.service.inference.version_cache import VersionCache
from streetlight.service.prediction_log.recorder import Recorder


class NoLiveVersionError(Exception):
    """No version is live, or the live version can't be read."""


class ModelNotFoundError(LookupError):
    """There is no model of that name, or no version of that number or label."""


def live_version(repository: ModelRepository) -> Version:
    """Return the live version.

    Raises:
        NoLiveVersionError: no version is live, or its file can't be read.
    """
    try:
        version = repository.live()
    except (VersionNotFoundError, VersionDamagedError) as error:
        raise NoLiveVersionError(
            f"the live version can't be read ({error}); promote another one"
        ) from error
    if version is None:
        raise NoLiveVersionError(
            "no version is live; train one with `streetlight train`, or promote one"
        )
    return version


def live_version_if_any(repository: ModelRepository, *, copy: bool = False) -> Version | None:
    """Return the live version; `None` if no version is live or its file can't be read.

    A damaged copy of a version that hosts share is removed when it is read. If `copy` is true, the
    version is then copied again, which uses the database.
    """
    try:
        return live_version(repository)
    except NoLiveVersionError:
        if not copy:
            return None
    repository.follow()
    return live_version_if_any(repository)


@dataclass(frozen=True)
class ServedModel:
    """The one model that the protocols see: the versions in `repository`, with the name `name`.

    `versions` holds those that were requested by number. `recorder` logs the predictions; `None` if
    they aren't logged.
    """

    name: str
    repository: ModelRepository
    versions: VersionCache
    recorder: Recorder | None = None

    def check_name(self, name: str) -> None:
        """Check that `name` is the name of the model.

        Raises:
            ModelNotFoundError: it is another name.
        """
        if name != self.name:
            raise ModelNotFoundError(f"no model {name[:100]!r}; the model's name is {self.name!r}")

    def resolve(
        self, name: str | None = None, version: str | None = None, label: str | None = None
    ) -> Version:
        """Return the version with the number `version` or the label `label`, or the live one.

        While no version is live, the model is unloaded, and `NoLiveVersionError` is raised for
        every version.

        Args:
            name: the name of the model; `None` if the request doesn't name it.
            version: the number of the version, as text.
            label: `live`, or `previous` for the version to which a rollback would return.

        Raises:
            ModelNotFoundError, VersionNotFoundError: there is no such model, version or label.
            NoLiveVersionError: no version is live, or the version can't be read.
        """
        if name is not None:
            self.check_name(name)
        if label is not None:
            version = self._number_of(label)
        if version is None or self.repository.live_number() is None:
            return live_version(self.repository)
        try:
            return self.versions.load(parse_version_number(version))
        except VersionDamagedError as error:
            raise NoLiveVersionError(f"version {version} can't be read ({error})") from error

    def problems(self) -> dict[int, str]:
        """Return for each version why it can't be read; the text is empty if it can."""
        found = {}
        for number in self.repository.versions():
            try:
                self.versions.check(number)
                found[number] = ""
            except VersionNotFoundError:
                continue  # the file was removed after `versions` listed it
            except VersionDamagedError as error:
                found[number] = str(error)
        return found

    def requested_number(self, version: str | None) -> int:
        """Return the number that a failed request for `version` is counted under.

        It is `version` if there is such a version, else the live one; 0 if none is live, or if the
        folder can't be read.
        """
        try:
            if version and version.isdecimal() and int(version) in self.repository.versions():
                return int(version)
            return self.repository.live_number() or 0
        except OSError:
            return 0

    def _number_of(self, label: str) -> str | None:
        if label not in ("live", "previous"):
            raise ModelNotFoundError(f"no label {label[:40]!r}; the labels are live and previous")
        if label == "live":
            return None
        number = self.repository.previous_number()
        if number is None:
            raise ModelNotFoundError("no version has the label previous: no other was live before")
        return str(number)


def parse_version_number(version: str) -> int:
    """Return the number in `version`, a whole number of 1 to 9 digits without leading zeros.

    Raises:
        ModelNotFoundError: `version` isn't such a number.
    """
    if not re.fullmatch(r"[1-9][0-9]{0,8}", version):
        raise ModelNotFoundError(f"no version {version[:40]!r}; versions are numbers from 1")
    return int(version)
