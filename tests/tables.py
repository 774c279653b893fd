"""Write docs/settings.md, routes.md, client.md, clients.md and the rule: `python -m tests.tables`.

A setting is described by its field in `service/config/settings.py`, a route by the first line of
its view's docstring, a group of routes by the docstring of its module. The heading of a group is
the start of that docstring, up to the first colon, comma, parenthesis or full stop. The
PrometheusRule contains the rules of deploy/prometheus/alerts.yml; the versions of the clients are
those of the lock files. The Python client is described by its docstrings.
"""

import inspect
import re
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

from streetlight import __version__
from streetlight.client import Client, Job, StreetlightError
from streetlight.service.config.descriptions import describe_setting
from streetlight.service.config.settings import Settings
from streetlight.service.config.sources import SECRETS, VERTEX
from streetlight.service.web.factory import create_app
from streetlight.service.wiring import build_services
from tests.reference import with_bounds

ROOT = Path(__file__).parents[1]
SETTINGS, ROUTES = ROOT / "docs" / "settings.md", ROOT / "docs" / "routes.md"
CLIENT, CLIENTS = ROOT / "docs" / "client.md", ROOT / "docs" / "clients.md"
DEPLOY = ROOT / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
RULE = DEPLOY / "kubernetes" / "overlays" / "prometheus-operator" / "rule.yaml"

SETTINGS_HEAD = """\
# Settings

The settings are environment variables, or lines of a file `.env` in the working directory, which
the environment overrides. The service reads them when it starts. `streetlight serve` has the
options `--host`, `--port` and `--workers`, which override both. [`streetlight
config`](operate.md#settings) prints the settings. A variable `STREETLIGHT_…` that is not in this
table is an error, in the environment and in `.env`, except those that Kubernetes and Docker set for
a service with this name.

| setting | type | default | description |
|---|---|---|---|
"""
COLUMNS = "| route | description |\n|---|---|\n"
ROUTES_HEAD = """\
# Routes

Parameters, bodies and responses are described in the [HTTP reference](reference.md), and the routes
of other servers' protocols in [protocols](protocols.md).
"""

RULE_HEAD = """\
# The rules of deploy/prometheus/alerts.yml; `make docs` writes this file.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: streetlight}
spec:
"""


def settings() -> str:
    """Return the page of the settings."""
    platforms = {field: f" Also `{name}`, which Vertex AI sets." for name, field in VERTEX.items()}
    rows = []
    for name, schema in Settings.model_json_schema()["properties"].items():
        variable, description, default = describe_setting(name)
        if description == schema["description"]:  # otherwise the default is in words
            default = f"`{default}`" if default else "none"
        options = [it for it in schema.get("anyOf", [schema]) if it.get("type") != "null"]
        allowed = " or ".join(map(with_bounds, options)).replace("](#", "](reference.md#")
        for option in options:
            if "pattern" in option:
                allowed += f", matching `{option['pattern']}`"
        description += platforms.get(name, "")
        if name in SECRETS:
            description += f" `{variable}_FILE` names a file with the value instead."
        rows.append(f"| `{variable}` | {allowed} | {default} | {description} |\n")
    return SETTINGS_HEAD + "".join(rows)


def routes() -> str:
    """Return the page of the routes, grouped by the module of their views."""
    return ROUTES_HEAD + "".join(_groups())


def clients() -> str:
    """Return the page of the clients, with our version and those in the lock files."""
    locked = {"streetlight.client": __version__}
    for lock in ("requirements-dev.lock", ".ci/requirements.lock", ".ci/requirements-clients.lock"):
        text = (ROOT / lock).read_text(encoding="utf-8")
        locked |= dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))
    return re.sub(
        r"^\| ([\w.-]+) \| (\S+) \|",
        lambda row: f"| {row[1]} | {locked.get(row[1], row[2])} |",
        CLIENTS.read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )


def client() -> str:
    """Return the page of the Python client, with its methods and errors in the tables."""
    page = CLIENT.read_text(encoding="utf-8")
    for head, rows in (
        ("method", _methods(Client)),
        ("method of a job", _methods(Job)),
        ("error", _errors(StreetlightError)),
    ):
        start, table, end = re.split(
            rf"(^\| {head} \| \w+ \|\n\|---\|---\|\n)(?:\|.*\n)*", page, flags=re.MULTILINE
        )
        page = start + table + "".join(rows) + end
    return page


def _methods(kind: type) -> Iterator[str]:
    for name, method in vars(kind).items():
        if isinstance(method, FunctionType) and not name.startswith(("_", "model_")):
            names = ", ".join(list(inspect.signature(method).parameters)[1:])
            names = names.replace("retraining", "**retraining")
            yield f"| `{name}({names})` | {_summary(method)} |\n"


def _errors(base: type[Exception]) -> Iterator[str]:
    for kind in base.__subclasses__():
        yield f"| `{kind.__name__}` | {_summary(kind)} |\n"
        yield from _errors(kind)


def rule() -> str:
    """Return the alert rules as an object of the Prometheus operator."""
    _, groups, rules = ALERTS.read_text(encoding="utf-8").partition("groups:")
    return RULE_HEAD + textwrap.indent(groups + rules, "  ")


def _groups() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(build_services(Settings(data_dir=Path(folder))))
    modules: dict[str, dict[str, list[str]]] = {}
    for rule in app.url_map.iter_rules():
        paths = modules.setdefault(app.view_functions[rule.endpoint].__module__, {})
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        methods = sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        paths.setdefault(rule.endpoint, []).extend(f"`{method} {path}`" for method in methods)
    for module, paths in modules.items():
        summary = _summary(sys.modules[module])
        yield f"\n## {_title(summary)}\n\n{summary}\n\n{COLUMNS}"
        for endpoint, listed in paths.items():
            yield f"| {', '.join(listed)} | {_summary(app.view_functions[endpoint])} |\n"


def _summary(documented: object) -> str:
    return " ".join((inspect.getdoc(documented) or "").partition("\n\n")[0].split())


def _title(summary: str) -> str:
    title = re.split(r"[:,(.]", summary.removeprefix("The "), maxsplit=1)[0].strip()
    return title[0].upper() + title[1:]


if __name__ == "__main__":
    SETTINGS.write_text(settings(), encoding="utf-8")
    ROUTES.write_text(routes(), encoding="utf-8")
    CLIENTS.write_text(clients(), encoding="utf-8")
    CLIENT.write_text(client(), encoding="utf-8")
    RULE.write_text(rule(), encoding="utf-8")
