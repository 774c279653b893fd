"""Processor time and memory of a process and its descendants, from /proc."""

import os
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")


def pids(root: int) -> list[int]:
    """Return the ids of a process and of all its descendants."""
    found = [root]
    for pid in found:
        try:
            for thread in Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (thread / "children").read_text().split())
        except OSError:
            continue  # the process has just ended
    return found


def cpu_seconds(root: int) -> float:
    """Return the processor time of a process tree, including children that have ended."""
    total = 0.0
    for pid in pids(root):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15])) * TICK
    return total


def pss(root: int) -> float:
    """Return the proportional set size of a process tree in MiB; shared pages count once."""
    total = 0
    for pid in pids(root):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        except OSError:
            continue
        total += int(dict(line.split(":", 1) for line in lines)["Pss"].split()[0])
    return total / 1024


def peak(pid: int | str = "self") -> float:
    """Return the peak memory of a process in MiB, since `reset_peak` or its start."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields["VmHWM"].split()[0]) / 1024


def reset_peak(pid: int | str = "self") -> None:
    """Reset the peak memory of a process to its current memory."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
