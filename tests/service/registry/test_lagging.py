"""The answers to a change of the live version name the hosts that have not applied it."""

from pathlib import Path

from streetlight.service.registry.hosts import report
from tests.client import App


def test_every_change_of_the_live_version_names_the_hosts_that_lag(
    shared_url: str, tmp_path: Path
) -> None:
    with App(tmp_path, database_url=shared_url) as app:
        load = "/v2/repository/models/streetlight/load"
        assert "lagging" not in app.post("/versions/1/promote")
        assert "lagging" not in app.post(load)
        report(app.services.engine, "b", None)
        assert app.post("/versions/1/promote")["lagging"] == ["b"]
        loaded = {"name": "streetlight", "load": True, "lagging": ["b"]}
        assert app.post(load) == loaded
        assert app.post(load, {"parameters": {"version": "1"}}) == loaded
        assert app.post(load.replace("load", "unload")) == {**loaded, "load": False}
