"""Networks that a test can break: hosts are network namespaces, joined by a bridge.

Needs root and iproute2. The processes of a host share the machine's files with the test, but they
reach only the addresses of their network.
"""

import ctypes
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

NAMESPACES = Path("/run/netns")
C_LIBRARY = ctypes.CDLL(None, use_errno=True)
# Of Linux's <linux/sched.h>.
CLONE_NEWNET = 0x40000000
CLONE_NEWUTS = 0x04000000
# An Ethernet address that no device has: packets sent to it are lost, without an error.
NOWHERE = "02:00:00:00:00:00"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


@dataclass(frozen=True)
class Host:
    """A host of a network.

    Attributes:
        address: its IPv4 address.
        device: its network device.
        namespace: the name of its network namespace; `None` is that of the test.
    """

    address: str
    device: str = "eth0"
    namespace: str | None = None

    def enter(self) -> None:
        """Move this thread, with its later connections and child processes, to this host."""
        assert self.namespace
        _enter(NAMESPACES / self.namespace)

    def become(self, hostname: str) -> None:
        """Move this process to this host, and let it see another hostname."""
        self.enter()
        if C_LIBRARY.unshare(CLONE_NEWUTS):
            raise OSError(ctypes.get_errno(), "unshare")
        socket.sethostname(hostname)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Move this thread to this host until the end of the block."""
        with Path("/proc/thread-self/ns/net").open("rb") as before:
            self.enter()
            try:
                yield
            finally:
                _enter(Path(f"/proc/self/fd/{before.fileno()}"))

    def popen(self, *command: str | Path, **options: Any) -> subprocess.Popen[bytes]:
        """Start a command on this host."""
        with self.entered():
            return subprocess.Popen(command, **options)

    def run(self, *command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command on this host to its end."""
        defaults = {"capture_output": True, "text": True, "timeout": 60}
        with self.entered():
            return subprocess.run(command, check=False, **defaults | options)

    def kill(self) -> None:
        """Kill all processes of this host."""
        assert self.namespace
        while pids := _ip("netns", "pids", self.namespace).split():
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)


class Network:
    """A network of its own, from `with` to the end of its block, which ends all its processes.

    Attributes:
        here: the test, which reaches all hosts.
    """

    def __enter__(self) -> Self:
        self._lock, number = _lock_number()
        self._name = f"streetlight-{number}"
        self._prefix = f"198.18.{number}"
        self._hosts = 0
        self.here = Host(f"{self._prefix}.254", self._name)
        self._remove()  # what a killed test has left
        # In a namespace of its own: Docker's firewall drops what the machine's bridges forward.
        self._switch = f"{self._name}-switch"
        _ip("netns", "add", self._switch)
        try:
            _ip("-n", self._switch, "link", "add", "bridge", "up", "type", "bridge")
            self._connect(self.here, "test", str(os.getpid()))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._remove()
        self._lock.close()

    def host(self) -> Host:
        """Add a host."""
        self._hosts += 1
        namespace = f"{self._name}-{self._hosts}"
        host = Host(f"{self._prefix}.{self._hosts}", namespace=namespace)
        _ip("netns", "add", namespace)
        self._connect(host, f"host{self._hosts}", namespace)
        _ip("-n", namespace, "link", "set", "lo", "up")
        return host

    def drop(self, a: Host, b: Host, *, one_way: bool = False) -> None:
        """Lose the packets from `a` to `b` and, unless `one_way`, those from `b` to `a`."""
        for source, target in [(a, b), (b, a)][: 1 if one_way else 2]:
            permanent = ("lladdr", NOWHERE, "nud", "permanent")
            self._neighbour("replace", source, target, *permanent)

    def heal(self, a: Host, b: Host, *, one_way: bool = False) -> None:
        """Deliver again what `drop` with the same arguments loses."""
        for source, target in [(a, b), (b, a)][: 1 if one_way else 2]:
            self._neighbour("del", source, target)

    def _neighbour(self, action: str, source: Host, target: Host, *state: str) -> None:
        where = ("-n", source.namespace) if source.namespace else ()
        _ip(*where, "neighbour", action, target.address, "dev", source.device, *state)

    def _connect(self, host: Host, port: str, namespace: str) -> None:
        """Give a host its device, with the other end of the cable in the bridge."""
        cable = ("type", "veth", "peer", "name", host.device, "netns", namespace)
        _ip("-n", self._switch, "link", "add", port, "master", "bridge", "up", *cable)
        where = ("-n", host.namespace) if host.namespace else ()
        _ip(*where, "address", "add", f"{host.address}/24", "dev", host.device)
        _ip(*where, "link", "set", host.device, "up")

    def _remove(self) -> None:
        for namespace in NAMESPACES.glob(f"{self._name}-*"):
            Host("", namespace=namespace.name).kill()
            _ip("netns", "delete", namespace.name)
        # The kernel removes devices some time after their namespace.
        with suppress(AssertionError):
            _ip("link", "delete", self._name)


def _lock_number() -> tuple[socket.socket, int]:
    """Reserve a number that no other network of the machine has, until the socket is closed."""
    for number in range(256):
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0streetlight-test-network-{number}")
        except OSError:
            name.close()
            continue
        return name, number
    raise AssertionError("all networks are in use")


def _enter(namespace: Path) -> None:
    with namespace.open("rb") as file:
        if C_LIBRARY.setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


def _ip(*arguments: str) -> str:
    """Run a command of iproute2 and return what it prints."""
    command = ["ip", *arguments]
    run = subprocess.run(command, capture_output=True, check=False, timeout=30, text=True)
    assert run.returncode == 0, f"{' '.join(command)}: {run.stderr}"
    return run.stdout
