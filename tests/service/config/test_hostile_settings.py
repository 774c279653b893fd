"""Every setting with hostile values: an error in one line, or a service that works."""

import os
from pathlib import Path

import pytest
from sqlalchemy.exc import ArgumentError
from werkzeug.test import Client

from streetlight.service.config.errors import SettingsError
from streetlight.service.config.settings import PREFIX, Settings
from streetlight.service.config.sources import load_settings
from streetlight.service.store.engine import open_engine
from streetlight.service.web.factory import create_app
from streetlight.service.wiring import build_services

HOSTILE = [
    *("", " ", "\n", "a\nb", "\x1b[31m", "é", "\uff11", "\udcff", "a" * 10_000, "9" * 5000),
    *("-1", "0", "1", "1e999", "nan", "inf", "0x10", "true", ",", "a,,b", "*", "%00", "null"),
    *("{", "[]", "{}", "[" * 5000, '[{"lights": [1e999], "outcome": "walk"}]', '"\\ud800"'),
    *(
        "/",
        "//",
        "/a//b",
        "/..",
        "/a/../b",
        "/a?b",
        "/a#b",
        "/%61",
        "/a\n",
        "/<int:x>",
        "/<x",
        "/{",
    ),
    *("/predict", "/readyz", "/livez", "/jobs/1", "/v2/models/x/infer", "/tutorial/x", "health/x"),
    *("a/b:c", "..", "...", "a.b", "tcp://10.0.0.1:80", "http://[", "sqlite://", "sqlite:////"),
    *("postgresql+psycopg://h:x/d", "postgresql+psycopg://[/d", "mysql://h/d", "10.0.0.0/33"),
]


@pytest.mark.parametrize("field", Settings.model_fields)
def test_a_hostile_value_is_refused_in_one_line_or_used(
    field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    for value in HOSTILE:
        app, message = None, ""
        monkeypatch.setenv(PREFIX + field.upper(), value)
        try:
            settings = load_settings()
            open_engine(settings.database)
            if field in ("model_name", "health_route", "predict_route"):
                app = Client(create_app(build_services(settings)))
        except (ArgumentError, ImportError, SettingsError) as error:
            message = str(error)
        assert message.isprintable(), value
        assert len(message) < 1000, value
        assert "text that matches" not in message, value
        assert "1 items" not in message, value
        assert "expected value is" not in message, value
        if app:
            if settings.health_route:
                assert "no version is live" in app.get(value).text, value
            if settings.predict_route:
                assert app.post(value, json={"instances": [[1]]}).status_code == 503
            path = f"/v2/models/{settings.model_name}/ready"
            assert "no version is live" in app.get(path).text, value


@pytest.mark.parametrize(
    ("settings", "accepted"),
    [
        ({"health_route": "/livez"}, False),
        ({"health_route": "/healthz"}, True),
        ({"health_route": "/readyz"}, True),
        ({"health_route": "/health", "predict_route": "/health"}, True),
        ({"predict_route": "/predict"}, False),
        ({"predict_route": "/invocations"}, True),
        ({"predict_route": "/v1/endpoints/1/deployedModels/2:predict"}, True),
    ],
)
def test_a_path_of_another_route_is_refused(
    settings: dict[str, str], accepted: bool, tmp_path: Path
) -> None:
    services = build_services(Settings(data_dir=tmp_path, **settings))
    if accepted:
        create_app(services)
        return
    with pytest.raises(SettingsError, match=r"^STREETLIGHT_\w+_ROUTE: /\w+ is another route of"):
        create_app(services)
