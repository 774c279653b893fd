"""Hosts reach each other and the test, packets are lost on demand, and nothing stays."""

import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.network import NAMESPACES, Host, Network, needs_root
from tests.service.conftest import until

# Storms, because a new network interface ends the requests of the browsers in other tests.
pytestmark = [pytest.mark.process, pytest.mark.storm, needs_root]

ROOT = Path(__file__).parent.parent

ECHO = """
import socket, sys
server = socket.create_server((sys.argv[1], 80))
print("ready", flush=True)
while True:
    connection, _ = server.accept()
    while data := connection.recv(100):
        connection.sendall(data)
"""
CALL = "import socket, sys; socket.create_connection((sys.argv[1], 80), 1).sendall(b'x')"


def echo(host: Host) -> subprocess.Popen[bytes]:
    """Start a server that sends back what it receives."""
    server = host.popen(sys.executable, "-c", ECHO, host.address, stdout=subprocess.PIPE)
    assert server.stdout
    with server.stdout:
        assert server.stdout.readline() == b"ready\n"
    return server


def sent_back(connection: socket.socket, data: bytes) -> bool:
    connection.sendall(data)
    try:
        return connection.recv(100).endswith(data)
    except TimeoutError:
        return False


def calls(source: Host, target: Host) -> bool:
    return source.run(sys.executable, "-c", CALL, target.address).returncode == 0


def test_packets_are_lost_without_an_error_until_the_network_heals() -> None:
    with Network() as network:
        a, b = network.host(), network.host()
        server = echo(b)
        with closing(socket.create_connection((b.address, 80), 0.3)) as connection:
            assert sent_back(connection, b"a")
            assert calls(a, b)
            network.drop(a, b)
            assert sent_back(connection, b"b")
            assert not calls(a, b)
            network.heal(a, b)
            assert calls(a, b)

            for source, target in [(network.here, b), (b, network.here)]:
                network.drop(source, target, one_way=True)
                assert not sent_back(connection, b"c")
                network.heal(source, target, one_way=True)
                until(lambda: sent_back(connection, b"d"))

        b.kill()
        server.wait(1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((b.address, 80), 1)


def test_networks_are_apart_and_nothing_of_them_stays() -> None:
    with Network() as one, Network() as other:
        server, stranger = one.host(), other.host()
        process = echo(server)
        assert not calls(stranger, server)
        names = [one.here.device, other.here.device]
    process.wait(1)
    devices = {name for _, name in socket.if_nameindex()}
    assert not [name for name in names if name in devices or list(NAMESPACES.glob(f"{name}-*"))]


def test_what_a_killed_test_leaves_is_removed_by_the_next() -> None:
    killed = (
        "import os\nfrom tests.network import Network\n"
        "with Network() as network:\n"
        "    print(network.host().popen('sleep', '60', stdout=-3).pid, flush=True)\n"
        "    os.kill(os.getpid(), 9)"
    )
    run = subprocess.run(
        [sys.executable, "-c", killed], cwd=ROOT, stdout=subprocess.PIPE, check=False
    )
    process = Path("/proc", run.stdout.decode().strip())
    assert process.exists()

    # The networks of other tests may be in between.
    deadline = time.monotonic() + 5
    while process.exists():
        assert time.monotonic() < deadline
        with Network():
            pass
