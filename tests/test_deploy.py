"""What is under deploy/ speaks of metrics that a real server shows, and of their labels."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client import parser

from tests.server import ForkedServer

DEPLOY = Path(__file__).parent.parent / "deploy"

PROMQL = set(
    "absent and by histogram_quantile increase max min on or rate scalar sum unless vector".split()  # noqa: SIM905
)
# What Prometheus itself adds.
OTHERS = {"up": {"job", "instance"}}
ADDED = {"instance"}


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def panels() -> list[dict[str, Any]]:
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
    found: list[dict[str, Any]] = dashboard["panels"]
    return found


def expressions() -> list[str]:
    """Every expression of PromQL there is."""
    targets = [target for panel in panels() for target in panel["targets"]]
    return [rule["expr"] for rule in alerts()] + [target["expr"] for target in targets]


def used(expression: str) -> tuple[dict[str, set[str]], set[str]]:
    """Each metric of an expression with the labels that choose it; and those that split it."""
    bare = re.sub(r"\[[^]]*\]", "", re.sub(r'"[^"]*"', '""', expression))
    clauses = re.compile(r"\b(?:by|on) \(([^)]*)\)")
    split = {name.strip() for names in clauses.findall(bare) for name in names.split(",")}
    metrics = {
        name: set(re.findall(r"(\w+)\s*[=!]", matchers))
        for name, matchers in re.findall(r"([A-Za-z_:]\w*)(\{[^}]*\})?", clauses.sub("", bare))
        if name not in PROMQL
    }
    return metrics, split


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Each metric of a server that has had some traffic, with its labels."""
    with ForkedServer(tmp_path_factory.mktemp("deploy")) as server:
        server.post("/predict", {"lights": [1, 0, 1]})
        server.expect(400, "POST", "/predict", {"lights": [1]})
        server.expect(201, "POST", "/observations", {"lights": [0, 1, 0], "outcome": "stop"})
        text = server.request("GET", "/metrics").data.decode()
    found: dict[str, set[str]] = {}
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize("expression", dict.fromkeys(expressions()))
def test_an_expression_uses_what_there_is(expression: str, shown: dict[str, set[str]]) -> None:
    metrics, split = used(expression)
    known = shown | OTHERS

    assert metrics
    assert metrics.keys() <= known.keys()
    for name, labels in metrics.items():
        assert labels <= known[name] | ADDED
    assert split <= set().union(*(known[name] for name in metrics)) | ADDED


def test_every_metric_is_on_the_dashboard(shown: dict[str, set[str]]) -> None:
    on_it = {name for expression in expressions() for name in used(expression)[0]}
    base = {re.sub(r"_(bucket|sum|count)$", "", name) for name in on_it}
    left_out = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown} - base

    assert left_out == {"streetlight_last_inference_timestamp_seconds"}


def test_an_unknown_name_is_found_out() -> None:
    metrics, split = used('sum by (a, f) (rate(b_total{c="x y",d!~"z"}[5m])) / e')

    assert metrics == {"b_total": {"c", "d"}, "e": set()}
    assert split == {"a", "f"}


def test_alerts_and_panels_are_whole() -> None:
    names = [rule["alert"] for rule in alerts()]
    places = [tuple(panel["gridPos"].values()) for panel in panels()]

    assert len(set(names)) == len(names)
    assert len(set(places)) == len(places)
    for rule in alerts():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}
    for panel in panels():
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
