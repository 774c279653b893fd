"""Prometheus scrapes a server, an alert arrives through Alertmanager, and every panel has data.

The configuration of Prometheus is that of deploy/README.md, with short intervals and a key. The
rules are those of deploy/, with short waits; tests/test_alerts.py tests their conditions.
"""

import json
import queue
import re
import subprocess
import textwrap
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import urllib3

from tests.server import DEADLINE, ForkedServer, free_port
from tests.test_deploy import DEPLOY, alerts, panels

[BLOCK] = re.findall(
    r"```\n( *rule_files:.*?)```", (DEPLOY / "README.md").read_text(encoding="utf-8"), re.DOTALL
)
CONFIGURATION = textwrap.dedent(BLOCK)
KEY = "a-key-of-the-tests"
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
ALERTMANAGER = """\
route: {{receiver: test, group_wait: 0s, group_interval: 1s}}
receivers: [{{name: test, webhook_configs: [{{url: "{url}"}}]}}]
"""
FAST = "global: {scrape_interval: 200ms, evaluation_interval: 200ms}\n"


class Monitoring:
    """A server, Prometheus, and Alertmanager, whose notifications are put into `received`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = ForkedServer(folder / "data", prediction_log=True, api_key=KEY, guard="all")
        self.port = free_port()
        self.received: queue.Queue[Any] = queue.Queue()

    def start(self, stack: ExitStack) -> None:
        """Start all of them; `stack` ends them."""
        stack.enter_context(self.server)
        manager = free_port()
        url = self._start_receiver(stack)
        (self.folder / "alertmanager.yml").write_text(ALERTMANAGER.format(url=url))
        target = {"targets": [f"127.0.0.1:{manager}"]}
        alerting = {"alertmanagers": [{"static_configs": [target]}]}
        assert "127.0.0.1:8000" in CONFIGURATION
        configuration = CONFIGURATION.replace("127.0.0.1:8000", f"127.0.0.1:{self.server.port}")
        (self.folder / "key").write_text(KEY)
        configuration += "    authorization: {credentials_file: key}\n"
        (self.folder / "prometheus.yml").write_text(
            f"{FAST}alerting: {json.dumps(alerting)}\n{configuration}"
        )
        rules = (DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
        (self.folder / "alerts.yml").write_text(re.sub(r"for: \d+m", "for: 1s", rules))
        self._start(
            stack,
            "prometheus-alertmanager",
            "--config.file=alertmanager.yml",
            "--storage.path=alertmanager",
            f"--web.listen-address=127.0.0.1:{manager}",
            "--cluster.listen-address=",
        )
        self._start(
            stack,
            "prometheus",
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=prometheus",
            f"--web.listen-address=127.0.0.1:{self.port}",
        )

    def query(self, expression: str) -> list[Any]:
        """Return the result of an expression, and fail if it has an error."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query"
        # Repeated while Prometheus starts.
        retries = urllib3.Retry(20, backoff_factor=0.1, backoff_max=0.5, status_forcelist=[503])
        response = urllib3.request("GET", url, fields={"query": expression}, retries=retries)
        body = response.json()
        assert body["status"] == "success", (expression, body)
        result: list[Any] = body["data"]["result"]
        return result

    def wait_for(self, expression: str) -> None:
        """Wait until an expression has a result."""
        deadline = time.monotonic() + DEADLINE
        while not self.query(expression):
            assert time.monotonic() < deadline, (self.folder / "prometheus.log").read_text()[-3000:]
            time.sleep(0.1)

    def notification(self, alert: str, status: str) -> Any:
        """Return the next notification of an alert with a status; others are passed over."""
        deadline = time.monotonic() + DEADLINE
        while True:
            for sent in self.received.get(timeout=max(0, deadline - time.monotonic()))["alerts"]:
                if (sent["labels"]["alertname"], sent["status"]) == (alert, status):
                    return sent

    def _start(self, stack: ExitStack, *command: str) -> None:
        with (self.folder / f"{command[0]}.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)
        stack.callback(process.wait, DEADLINE)
        stack.callback(process.terminate)

    def _start_receiver(self, stack: ExitStack) -> str:
        received = self.received

        class Receiver(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        stack.callback(receiver.server_close)
        stack.callback(receiver.shutdown)
        Thread(target=receiver.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{receiver.server_port}/"


@pytest.fixture(scope="module")
def monitoring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitoring]:
    with ExitStack() as stack:
        started = Monitoring(tmp_path_factory.mktemp("prometheus"))
        started.start(stack)
        yield started


@pytest.mark.process
def test_the_documented_configuration_and_the_rules_are_valid(tmp_path: Path) -> None:
    rules = DEPLOY / "prometheus" / "alerts.yml"
    (tmp_path / "alerts.yml").write_text(rules.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "prometheus.yml").write_text(CONFIGURATION)
    check = ["promtool", "check", "config", "prometheus.yml"]
    output = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert f"{len(alerts())} rules found" in output


@pytest.mark.process
def test_every_panel_of_the_dashboard_has_data(monitoring: Monitoring) -> None:
    requests = 'streetlight_requests_total{route="/predict"}'
    for expression in (requests, f"rate({requests}[1m]) > 0"):
        monitoring.server.post("/predict", {"lights": [1, 0, 1]}, **AUTHORIZED)
        monitoring.server.expect(400, "POST", "/predict", {"lights": [1]}, **AUTHORIZED)
        row = {"lights": [0, 1, 0], "outcome": "stop"}
        monitoring.server.expect(201, "POST", "/observations", row, **AUTHORIZED)
        monitoring.wait_for(expression)
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"].replace("$instance", ".*")
            assert monitoring.query(expression.replace("$__rate_interval", "1m")), expression


@pytest.mark.process
def test_the_names_and_the_help_of_the_metrics_follow_the_conventions(
    monitoring: Monitoring,
) -> None:
    metrics = monitoring.server.request("GET", "/metrics", **AUTHORIZED).data
    run = subprocess.run(
        ["promtool", "check", "metrics"], input=metrics, capture_output=True, check=False
    )
    assert (run.returncode, run.stdout + run.stderr) == (0, b"")


@pytest.mark.process
def test_an_alert_fires_and_arrives_through_alertmanager(monitoring: Monitoring) -> None:
    monitoring.server.post("/v2/repository/models/streetlight/unload", **AUTHORIZED)
    fired = monitoring.notification("StreetlightNoLiveVersion", "firing")
    assert fired["labels"]["severity"] == "critical"
    assert fired["annotations"]["summary"] == "No version is live"
    assert f"127.0.0.1:{monitoring.server.port} answers" in fired["annotations"]["description"]
    monitoring.server.post("/v2/repository/models/streetlight/load", **AUTHORIZED)
    monitoring.notification("StreetlightNoLiveVersion", "resolved")
