"""The answers to a change of the live version name the hosts that have not applied it."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from streetlight.model.dataset import LAB
from streetlight.model.registry.manifest import Provenance
from streetlight.service.registry.hosts import report
from streetlight.service.registry.shared_repository import SharedRepository
from streetlight.service.store.engine import open_engine
from tests.client import App
from tests.databases import outage
from tests.server import streetlight
from tests.service.services import training


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


def test_a_change_is_answered_also_if_the_database_is_lost_after_it(
    shared_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with App(tmp_path, database_url=shared_url) as app, ExitStack() as stack:
        repository = app.services.repository
        repository.publish(training(1, 0, 0), LAB, Provenance("lab"))
        app.post("/versions/2/promote")

        def lose_database() -> None:
            stack.enter_context(outage(shared_url))

        monkeypatch.setattr(repository, "try_to_follow", lose_database)
        answer = app.post("/rollback")
    assert (answer["live"], answer["promotion"]["version"]) == (1, 1)
    assert "the database can't be used" in answer["lagging"][0]


@pytest.mark.process
def test_a_training_by_hand_is_published_for_all_hosts(shared_url: str, tmp_path: Path) -> None:
    settings = {"data_dir": tmp_path / "a", "database_url": shared_url}
    for number in (1, 2):  # the first one also creates the tables
        run = streetlight("train", "--iterations", "60", "--seed", str(number), **settings)
        assert run.returncode == 0, run.stderr
        assert f"version {number} is live\n" in run.stdout
    engine = open_engine(shared_url)
    report(engine, "c", None)
    run = streetlight("train", "--iterations", "60", **settings)
    assert "hosts that have not applied this yet: c\n" in run.stderr
    other = SharedRepository(tmp_path / "b", engine)
    other.follow()
    assert other.versions() == [1, 2, 3]
    assert other.live_number() == 3
    engine.dispose()
