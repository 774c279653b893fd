"""Memory in which each worker counts and which all workers read.

It replaces the files of prometheus_client's multiprocess mode. A worker is killed (SIGBUS) when it
writes to a page of such a file for which the disk has no space left; and the files of a server
that is killed stay on the disk. `metrics` has the metrics.
"""

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from mmap import mmap
from typing import Any

from prometheus_client import Metric, multiprocess, values
from prometheus_client.mmap_dict import MmapedDict, _read_all_values

# The names that prometheus_client gives to the files of a slot.
FILE_NAMES = ("counter_{}.db", "histogram_{}.db", "gauge_max_{}.db")
# Bytes in place of each file, enough for the counters of 2,500 versions. The kernel allocates a
# page when it is first written.
SIZE = 4 * 1024 * 1024
# Bytes of a counter besides its key, at most.
OVERHEAD = 32

log = logging.getLogger(__name__)

_memory: dict[str, mmap] = {}


def _empty() -> mmap:
    memory = mmap(-1, SIZE)
    memory[:4] = (8).to_bytes(4, sys.byteorder)  # the bytes in use: those of this number, padded
    return memory


class SharedDict(MmapedDict):
    """The counters of one kind and one slot; it continues with the values that are there."""

    def __init__(self, name: str) -> None:
        # Only a slot above those that are shared has no memory yet; no other worker reads it.
        self._m = _memory.setdefault(name, _empty())
        self._used = int.from_bytes(self._m[:4], sys.byteorder)
        self._capacity = SIZE - 16
        self._positions = {key: position for key, _, _, position in _read_all_values(self._m)}  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        if self._used + len(key.encode()) + OVERHEAD <= self._capacity:
            super()._init_value(key)  # type: ignore[no-untyped-call]
        else:
            log.error("the memory for metrics is full; until a restart this isn't counted: %s", key)
            self._positions[key] = self._capacity  # the last bytes, which no scrape reads

    @staticmethod
    def read_all_values_from_file(name: str) -> Iterator[Any]:
        """Return the counters in the memory `name`, as the base class does for a file."""
        return _read_all_values(_memory[name])  # type: ignore[no-untyped-call, no-any-return]


def share(slots: int) -> None:
    """Prepare the memory of `slots` worker slots; to be called before the workers are forked."""
    for slot in range(slots):
        for name in FILE_NAMES:
            _memory[name.format(slot)] = _empty()
    for module in (values, multiprocess):
        vars(module)["MmapedDict"] = SharedDict
    # prometheus_client puts this directory before each name.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = ""


def collect() -> Iterable[Metric]:
    """Return the metrics of all slots."""
    return multiprocess.MultiProcessCollector.merge(list(_memory))  # type: ignore[no-untyped-call, no-any-return]
