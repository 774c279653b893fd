"""Clients for tests: requests to a server or to an application in the process of the test."""

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

import urllib3
from click.testing import CliRunner

from streetlight.model.training_job import main as training_job
from streetlight.service.cli import main as command_line
from streetlight.service.config.settings import PREFIX, Settings
from streetlight.service.learning.automatic import submit_if_due
from streetlight.service.learning.job_runner import run_job
from streetlight.service.learning.lease import acquire_lease
from streetlight.service.web.factory import create_app
from streetlight.service.wiring import build_services, initialize


class Client(ABC):
    """Sends requests to a service that has its own data directory."""

    data_dir: Path
    url: str

    @abstractmethod
    def request(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> urllib3.BaseHTTPResponse:
        """Send a request; a body other than bytes or text is sent as JSON."""

    def get(self, path: str, **headers: str) -> Any:
        """Return the JSON of a response; fail unless its status is 200."""
        return self.expect(200, "GET", path, **headers)

    def post(self, path: str, body: object = None, **headers: str) -> Any:
        """Return the JSON of a response; fail unless its status is 200."""
        return self.expect(200, "POST", path, body, **headers)

    def expect(
        self, status: int, method: str, path: str, body: object = None, **headers: str
    ) -> Any:
        """Return the JSON of a response; fail unless its status is `status`."""
        response = self.request(method, path, body, **headers)
        assert response.status == status, response.data[:1000]
        return response.json()

    def train(self, *options: str) -> None:
        """Run the training job on the data directory, in this process."""
        assert training_job(options, "streetlight train", self.data_dir / "models") == 0


class App(Client):
    """The application in this process, with the lab's network live as version 1.

    It has no server, HTTP parser or trainer process: `work` runs the jobs.
    """

    def __init__(self, data_dir: Path, **settings: Any) -> None:
        self.data_dir = data_dir
        self.url = "http://localhost"
        self.services = build_services(Settings(data_dir=data_dir, **settings))

    def __enter__(self) -> Self:
        self.train("--if-missing")
        initialize(self.services)
        self.application = create_app(self.services)
        return self

    def __exit__(self, *_exception: object) -> None:
        self.services.engine.dispose()

    def request(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> urllib3.BaseHTTPResponse:
        """Send a request; a body other than bytes or text is sent as JSON."""
        content: dict[str, Any] = {}
        if body is not None:
            content["data" if isinstance(body, (bytes, str)) else "json"] = body
        client = self.application.test_client(use_cookies=False)
        with client.open(path, method=method, headers=headers, **content) as response:
            return urllib3.HTTPResponse(
                body=response.get_data(),
                headers=urllib3.HTTPHeaderDict(response.headers.items()),
                status=response.status_code,
            )

    def work(self) -> None:
        """Submit and run jobs as a trainer does, until no job is queued."""
        submit_if_due(self.services)
        while lease := acquire_lease(self.services.engine, "owner", 30):
            run_job(self.services, lease, lambda: False)


@dataclass(frozen=True)
class Run:
    """The exit status and the output of a command."""

    returncode: int
    stdout: str
    stderr: str


def invoke(*arguments: str, **settings: object) -> Run:
    """Run a command of `streetlight` in this process, and return its result."""
    variables = {f"{PREFIX}{name.upper()}": str(value) for name, value in settings.items()}
    # `serve` copies its options into the environment.
    with patch.dict(os.environ):
        for name in [name for name in os.environ if name.startswith(PREFIX)]:
            del os.environ[name]
        result = CliRunner().invoke(command_line, arguments, env=variables)
    if not isinstance(result.exception, SystemExit | None):
        raise result.exception
    return Run(result.exit_code, result.stdout, result.stderr)
