"""What a server and all its processes have taken, from /proc: processor time and memory."""

import os
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")


def pids(root: int) -> list[int]:
    """Return a process and all that descend from it."""
    found = [root]
    for pid in found:
        try:
            for thread in Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (thread / "children").read_text().split())
        except OSError:
            continue  # it has just ended
    return found


def cpu_seconds(root: int) -> float:
    """Return the processor time of a tree, of its ended children too."""
    total = 0.0
    for pid in pids(root):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15])) * TICK
    return total


def pss(root: int) -> float:
    """Return the memory of a tree in MiB; what processes share is counted once."""
    total = 0
    for pid in pids(root):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        except OSError:
            continue
        total += int(dict(line.split(":", 1) for line in lines)["Pss"].split()[0])
    return total / 1024


def peak(pid: int | str = "self") -> float:
    """Return the most memory that a process has had since `forget_peak`, or ever, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields["VmHWM"].split()[0]) / 1024


def forget_peak(pid: int | str = "self") -> None:
    """Let what a process has now be the most that it had."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
