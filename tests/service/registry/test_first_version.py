"""Tests of the first versions of a database: those of a folder from before there were any rows."""

from pathlib import Path

from tests.client import App


def test_the_promotions_of_a_folder_are_added_with_its_versions(
    tmp_path: Path, shared_url: str
) -> None:
    app = App(tmp_path, database_url=shared_url)
    app.train()
    app.train("--seed", "5")

    with app:
        assert app.get("/versions")["live"] == 2
        promotions = app.services.repository.promotions()
        assert [(entry.version, entry.instead_of) for entry in promotions] == [(1, None), (2, 1)]
        assert app.post("/rollback")["live"] == 1
