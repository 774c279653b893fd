"""Look at the processes of a server under test."""

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
