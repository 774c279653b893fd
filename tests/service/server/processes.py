"""Look at the processes of a server under test."""

from pathlib import Path


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
