"""The alerts and the dashboard in deploy/ use what a server exports; a page shows other files."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client import parser

from tests.client import App, invoke
from tests.server import ForkedServer, Server, free_port

DEPLOY = Path(__file__).parent.parent / "deploy"

PROMQL = set(
    "absent and by delta histogram_quantile increase max min on or rate scalar sum unless "  # noqa: SIM905
    "vector".split()
)
# The metrics and labels that Prometheus adds.
PROMETHEUS_METRICS = {"up": {"job", "instance"}}
PROMETHEUS_LABELS = {"instance"}


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def panels() -> list[dict[str, Any]]:
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
    found: list[dict[str, Any]] = dashboard["panels"]
    return found


def expressions() -> list[str]:
    """Return the PromQL expressions of all alerts and panels."""
    targets = [target for panel in panels() for target in panel["targets"]]
    return [rule["expr"] for rule in alerts()] + [target["expr"] for target in targets]


def metrics_and_grouping(expression: str) -> tuple[dict[str, set[str]], set[str]]:
    """Return the labels in the matchers of each metric of an expression, and those it groups by."""
    bare = re.sub(r"\[[^]]*\]", "", re.sub(r'"[^"]*"', '""', expression))
    clauses = re.compile(r"\b(?:by|on) \(([^)]*)\)")
    grouping = {name.strip() for names in clauses.findall(bare) for name in names.split(",")}
    metrics = {
        name: set(re.findall(r"(\w+)\s*[=!]", matchers))
        for name, matchers in re.findall(r"([A-Za-z_:]\w*)(\{[^}]*\})?", clauses.sub("", bare))
        if name not in PROMQL
    }
    return metrics, grouping


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Return the labels of each metric of a server that has answered requests."""
    with ForkedServer(tmp_path_factory.mktemp("deploy"), prediction_log=True) as server:
        server.post("/predict", {"lights": [1, 0, 1]})
        server.expect(400, "POST", "/predict", {"lights": [1]})
        server.expect(201, "POST", "/observations", {"lights": [0, 1, 0], "outcome": "stop"})
        text = server.request("GET", "/metrics").data.decode()
    found: dict[str, set[str]] = {}
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.process
@pytest.mark.parametrize("expression", dict.fromkeys(expressions()))
def test_an_expression_uses_exported_metrics_and_labels(
    expression: str, exported: dict[str, set[str]]
) -> None:
    metrics, grouping = metrics_and_grouping(expression)
    known = exported | PROMETHEUS_METRICS

    assert metrics
    assert metrics.keys() <= known.keys()
    for name, labels in metrics.items():
        assert labels <= known[name] | PROMETHEUS_LABELS
    assert grouping <= set().union(*(known[name] for name in metrics)) | PROMETHEUS_LABELS


def test_the_alert_on_accuracy_notices_a_fall_after_a_long_good_time(app: App) -> None:
    [rule] = [rule for rule in alerts() if rule["alert"] == "StreetlightAccuracyFalls"]

    def fires_after(count: int, outcome: str) -> bool:
        rows = [{"lights": [1, 0, 1], "outcome": outcome}] * count  # the live version decides walk
        app.expect(201, "POST", "/observations", {"observations": rows})
        text = app.request("GET", "/metrics").data.decode()
        families = parser.text_string_to_metric_families(text)
        values = {sample.name: sample.value for family in families for sample in family.samples}
        # This rule means the same in Python as in PromQL.
        return bool(eval(rule["expr"], {}, values))  # noqa: S307 - our own file

    assert not fires_after(1, "stop")  # one observation says little
    assert not fires_after(200, "walk")
    assert not fires_after(12, "stop")  # 38 of 50: below 0.8, but the interval isn't
    assert fires_after(13, "stop")  # 25 of 50
    assert app.get("/versions/1/accuracy")["accuracy"] > 0.8  # of all, as many were right


@pytest.mark.process
@pytest.mark.parametrize("variable", ["STREETLIGHT_PORT", "AIP_HTTP_PORT"])
def test_the_health_check_of_the_image_uses_the_port_that_is_served(
    variable: str, shared_server: Server
) -> None:
    """The command of the check, as Docker reads it from the Dockerfile."""
    text = (DEPLOY.parent / "Dockerfile").read_text().replace("\\\n", "")
    [command] = re.findall(r"HEALTHCHECK .* CMD (\[.*\])", text)
    arguments = json.loads(command)[1:]
    for port, status in ((shared_server.port, 0), (free_port(), 1)):
        environment = {variable: str(port), "AIP_HTTP_PORT": str(port)}
        run = subprocess.run(
            [sys.executable, *arguments], env=environment, capture_output=True, check=False
        )
        assert run.returncode == status, run.stderr


@pytest.mark.process
def test_the_dashboard_shows_every_metric_but_one(exported: dict[str, set[str]]) -> None:
    shown = {name for expression in expressions() for name in metrics_and_grouping(expression)[0]}
    base = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}
    not_shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exported} - base

    assert not_shown == {"streetlight_last_inference_timestamp_seconds"}


def test_the_metrics_and_labels_of_an_expression_are_found() -> None:
    metrics, grouping = metrics_and_grouping(
        'sum by (a, f) (rate(b_total{c="x y",d!~"z"}[5m])) / e'
    )

    assert metrics == {"b_total": {"c", "d"}, "e": set()}
    assert grouping == {"a", "f"}


def test_containers_have_no_privileges() -> None:
    dockerfile = (DEPLOY.parent / "Dockerfile").read_text()
    assert re.findall("^USER (.*)$", dockerfile, re.MULTILINE)[-1] == "10001:10001"
    services = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text())["services"]
    for service in services.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not {"user", "privileged", "cap_add"} & set(service)
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("path", ["prometheus/alerts.yml", "grafana/dashboard.json"])
def test_a_command_prints_the_alerts_and_the_dashboard(path: str) -> None:
    run = invoke("monitoring", Path(path).name)
    assert (run.returncode, run.stdout) == (0, (DEPLOY / path).read_text(encoding="utf-8"))


def test_alerts_and_panels_are_complete() -> None:
    names = [rule["alert"] for rule in alerts()]
    positions = [tuple(panel["gridPos"].values()) for panel in panels()]

    assert len(set(names)) == len(names)
    assert len(set(positions)) == len(positions)
    for rule in alerts():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}
    for panel in panels():
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]


def test_a_page_shows_each_file_of_the_proxies() -> None:
    page = (DEPLOY.parent / "docs" / "proxies.md").read_text()

    for file in (DEPLOY / "proxies").iterdir():
        name = f"deploy/proxies/{file.name}"
        assert f"[{name}](../{name}):\n\n```\n{file.read_text()}```" in page
