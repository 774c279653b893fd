"""Look at the processes of a server under test."""

import os
from pathlib import Path

from tests.server import Server


def running_processes(session: int) -> list[int]:
    """Return the running processes of a session."""
    found = []
    for path in Path("/proc").glob("[1-9]*/stat"):
        try:
            state, _, _, session_of_process = path.read_text().rpartition(") ")[2].split()[:4]
        except OSError:
            continue
        if int(session_of_process) == session and state != "Z":
            found.append(int(path.parent.name))
    return found


def threads_of(pid: int) -> int:
    """Return the number of threads of a process."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def worker_of(server: Server) -> int:
    """Return the process id of the only worker of a server."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    (worker,) = children.read_text().split()
    return int(worker)


def peak_mib(server: Server) -> float:
    """Return the peak memory of the worker in MiB."""
    return _memory(server, "VmHWM:")


def reset_peak(server: Server) -> float:
    """Let the peak memory of the worker start at its present memory, and return that in MiB."""
    Path(f"/proc/{worker_of(server)}/clear_refs").write_text("5")
    return _memory(server, "VmRSS:")


def _memory(server: Server, name: str) -> float:
    status = Path(f"/proc/{worker_of(server)}/status").read_text()
    return int(status.partition(name)[2].split()[0]) / 1024


def cpu_seconds(server: Server) -> float:
    """Return the CPU time of the worker, which doesn't depend on the load of the machine."""
    stat = Path(f"/proc/{worker_of(server)}/stat").read_text()
    return sum(map(int, stat.rpartition(") ")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")
