"""Tests of `streetlight check`: each violation is one line, and a valid folder has none."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import text

from tests.client import App, Run, invoke
from tests.server import ForkedServer, streetlight
from tests.service.conftest import until

NO_VERSION = (
    "the live version can't be read "
    "(live: expected a link to a version file such as 1.npz, got elsewhere)"
)


def check(app: App) -> Run:
    """Run the command on the data of `app`."""
    settings: dict[str, object] = {"data_dir": app.data_dir}
    if url := app.services.settings.database_url:
        settings["database_url"] = url.get_secret_value()
    return invoke("check", **settings)


@pytest.fixture
def used(tmp_path: Path, database_url: str | None) -> Iterator[App]:
    """An application with two observations, a job, and the versions 1 and 2."""
    with App(tmp_path, database_url=database_url) as app:
        for lights in ([1, 0, 0], [0, 1, 0]):
            app.expect(201, "POST", "/observations", {"lights": lights, "outcome": "stop"})
        app.expect(202, "POST", "/retrain", {"promote": "always"})
        app.work()
        app.post("/rollback")
        yield app


def sql(statement: str) -> Callable[[App], None]:
    """Return a function that executes `statement`."""

    def execute(app: App) -> None:
        with app.services.engine.connect() as connection:
            connection.execute(text(statement))
            connection.commit()

    return execute


def log(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[App], None]:
    """Return a function that changes the lines of the promotion log."""

    def write(app: App) -> None:
        path = app.data_dir / "models" / "promotions.jsonl"
        path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))

    return write


def cut(app: App) -> None:
    """Leave the first bytes of version 2."""
    path = app.data_dir / "models" / "2.npz"
    path.write_bytes(path.read_bytes()[:100])


def exchange(app: App) -> None:
    """Put the file of version 1 in the place of that of version 2."""
    models = app.data_dir / "models"
    (models / "2.npz").unlink()
    (models / "2.npz").write_bytes((models / "1.npz").read_bytes())


def lose_versions(app: App) -> None:
    """Restore the folder as it was before version 2."""
    models = app.data_dir / "models"
    for name in ("2.npz", "newest"):
        (models / name).unlink()
    log(lambda lines: lines[:1])(app)


def link(target: str) -> Callable[[App], None]:
    """Return a function that points the live link to `target`."""

    def point(app: App) -> None:
        path = app.data_dir / "models" / "live"
        path.unlink()
        path.symlink_to(target)

    return point


def test_valid_data_have_no_violation(used: App) -> None:
    run = check(used)

    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == (
        "checked 2 versions, 3 promotions, 6 observations, 1 jobs; violations: 0\n"
    )


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("damage", "lines"),
    [
        (cut, ["2.npz: File is not a zip file"]),
        (exchange, ["2.npz: expected version 2, got version 1"]),
        (link("3.npz"), ["the live version can't be read (no version 3; existing versions: 1, 2)"]),
        (
            link("elsewhere"),
            [NO_VERSION],
        ),
        (
            log(lambda lines: [lines[0], b"{\n", lines[2]]),
            ["promotions.jsonl: line 2: not a promotion"],
        ),
        (
            log(lambda lines: [lines[0], lines[2]]),
            [
                "promotions.jsonl: line 2: expected a change of version 1, got one of version 2",
                "job 1: its promotion of version 2 is not in the log",
            ],
        ),
        (
            log(lambda lines: lines[1:]),
            ["promotions.jsonl: line 1: expected a change of version None, got one of version 1"],
        ),
        (
            lose_versions,
            [
                "job 1: its version 2 never existed",
                "job 1: its promotion of version 2 is not in the log",
            ],
        ),
    ],
)
def test_each_violation_in_the_folder_is_a_line(
    used: App, damage: Callable[[App], None], lines: list[str]
) -> None:
    check_finds(used, damage, lines)


def check_finds(app: App, damage: Callable[[App], None], lines: list[str]) -> None:
    damage(app)

    run = check(app)

    assert run.returncode == 1
    *found, summary = run.stdout.splitlines()
    assert found == lines
    assert summary.startswith("checked ")
    assert summary.endswith(f"; violations: {len(lines)}")


@pytest.mark.parametrize(
    ("damage", "lines"),
    [
        (
            sql("UPDATE observations SET said = 1 - said WHERE id = 5"),
            ["observations: 1 of [1.0, 0.0, 0.0] have the prediction 0 of version 1, expected 1"],
        ),
        (
            sql("UPDATE observations SET lights = '[1]' WHERE id = 5"),
            ["observations: 1 of [1] have the prediction 1 of version 1, expected None"],
        ),
        (
            sql("UPDATE observations SET version = 7 WHERE id = 5"),
            ["observations: 1 were predicted by version 7, which never existed"],
        ),
        (
            sql("DELETE FROM observations WHERE id = 5"),
            ["observations: expected the ids 1 to 6 without a gap, got 5 of them"],
        ),
        (sql("UPDATE jobs SET version = 1"), ["job 1: its version 1 is that of job None"]),
        (sql("UPDATE jobs SET version = NULL"), ["job 1: is succeeded, but has the version None"]),
        (sql("UPDATE jobs SET finished_at = NULL"), ["job 1: is succeeded, but has the end None"]),
    ],
)
def test_each_violation_in_the_database_is_a_line(
    used: App, damage: Callable[[App], None], lines: list[str]
) -> None:
    check_finds(used, damage, lines)


SHA256 = "version 2: its file in the database hasn't the SHA-256 "


@pytest.mark.parametrize(
    ("statement", "lines"),
    [
        ("UPDATE versions SET file = 'x' WHERE number = 2", [SHA256]),
        (
            "UPDATE promotions SET id = 5 WHERE id = 3",
            ["promotions: expected the ids 1 to 3 without a gap, got up to 5"],
        ),
        (
            "DELETE FROM versions WHERE number = 2",
            [
                "promotions: version 2 was live, but has no row in the database",
                "job 1: its version 2 never existed",
            ],
        ),
    ],
)
def test_each_violation_in_the_rows_of_versions_is_a_line(
    tmp_path: Path, shared_url: str, statement: str, lines: list[str]
) -> None:
    with App(tmp_path, database_url=shared_url) as app:
        app.expect(202, "POST", "/retrain", {"promote": "always"})
        app.work()
        app.post("/rollback")
        sql(statement)(app)
        run = check(app)

    assert run.returncode == 1
    found = run.stdout.splitlines()[:-1]
    assert [line.partition(SHA256)[1] or line for line in found] == lines, run.stdout


def test_a_copy_that_differs_from_its_row_is_a_violation(tmp_path: Path, shared_url: str) -> None:
    with App(tmp_path, database_url=shared_url) as app:
        copy = app.services.repository.path(1)
        content = bytearray(copy.read_bytes())
        content[10] ^= 1  # the time in a header of the archive, which no other check reads
        copy.write_bytes(content)
        run = check(app)
    assert run.stdout.splitlines()[:-1] == [
        "version 1: the file in the folder isn't that in the database"
    ]


def exam_rows(app: App) -> None:
    """Change an outcome of the exam in the file of version 2."""
    path = app.data_dir / "models" / "2.npz"
    arrays = dict(np.load(path))
    arrays["exam_walk_vs_stop"] = 1 - arrays["exam_walk_vs_stop"]
    np.savez(path, **arrays)


VERDICT = "job 1: the exam in its verdict isn't that of the versions 1 and 2"


@pytest.mark.parametrize(
    ("damage", "lines"),
    [
        (sql("UPDATE jobs SET verdict = replace(verdict, '[[46, 75]]', '[[45, 74]]')"), [VERDICT]),
        (
            sql("UPDATE jobs SET verdict = replace(verdict, '_right\": 30', '_right\": 29')"),
            [VERDICT],
        ),
        (
            sql("DELETE FROM observations WHERE id > 70"),
            ["version 2: names observation 75, the ledger has 70"],
        ),
    ],
)
def test_a_damaged_exam_is_a_violation(
    tmp_path: Path, database_url: str | None, damage: Callable[[App], None], lines: list[str]
) -> None:
    check_exam(tmp_path, database_url, damage, lines)


def test_a_damaged_exam_in_a_file_is_a_violation(tmp_path: Path) -> None:
    lines = ["2.npz: exam: its rows or its result differ from the manifest", VERDICT]
    check_exam(tmp_path, None, exam_rows, lines)


def check_exam(
    data_dir: Path, database_url: str | None, damage: Callable[[App], None], lines: list[str]
) -> None:
    with App(data_dir, database_url=database_url, start_empty=True) as app:
        rows = [{"lights": [1, 0, 1], "outcome": "walk"}, {"lights": [0, 0, 1], "outcome": "stop"}]
        app.expect(201, "POST", "/observations", {"observations": [rows[i % 2] for i in range(75)]})
        app.expect(202, "POST", "/retrain")
        app.work()
        assert app.get("/jobs/1")["verdict"]["exam"]["both_right"] == 30
        assert check(app).returncode == 0

        damage(app)
        run = check(app)

    assert run.returncode == 1
    assert run.stdout.splitlines()[:-1] == lines


@pytest.mark.embedded
def test_a_version_that_was_removed_is_no_violation(used: App) -> None:
    (used.data_dir / "models" / "2.npz").unlink()

    assert check(used).returncode == 0


def test_a_page_that_sqlite_cannot_read_is_a_violation(tmp_path: Path) -> None:
    with App(tmp_path) as app:
        sql("CREATE UNIQUE INDEX broken ON observations (id)")(app)
        sql("PRAGMA writable_schema = ON")(app)
    with App(tmp_path) as app:
        statement = "UPDATE sqlite_master SET sql = 'CREATE UNIQUE INDEX broken ON observations "
        with app.services.engine.connect() as connection:
            connection.execute(text("PRAGMA writable_schema = ON"))
            connection.execute(text(statement + "(outcome)' WHERE name = 'broken'"))
            connection.commit()
    run = invoke("check", data_dir=tmp_path)

    assert run.returncode == 1
    assert run.stdout.startswith("the database: ")


def test_a_folder_without_a_database_is_valid_and_stays_without(tmp_path: Path) -> None:
    assert invoke("train", data_dir=tmp_path).returncode == 0

    run = invoke("check", data_dir=tmp_path)

    assert run.stdout == (
        "checked 1 versions, 1 promotions, 0 observations, 0 jobs; violations: 0\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("name", "value"), [("lights", np.ones((4, 2))), ("errors", np.array(0.0))]
)
def test_training_data_of_another_shape_are_a_violation(
    used: App, name: str, value: NDArray[Any]
) -> None:
    path = used.data_dir / "models" / "2.npz"
    arrays = dict(np.load(path))
    np.savez(path, **arrays | {name: value})

    run = check(used)

    assert (run.returncode, run.stderr) == (1, "")
    assert run.stdout.startswith("2.npz: ")
    assert "checked 2 versions" in run.stdout


@pytest.mark.process
def test_a_check_beside_a_busy_server_finds_nothing(tmp_path: Path) -> None:
    """Observations, promotions and a retraining go on while the command reads."""
    row = {"lights": [1, 0, 0], "outcome": "stop"}
    with ForkedServer(tmp_path, trainer=True) as server:
        job = server.expect(202, "POST", "/retrain", {"promote": "always"})["id"]

        def ended() -> bool:
            server.expect(201, "POST", "/observations", row)
            run = streetlight("check", data_dir=tmp_path)
            assert (run.returncode, run.stderr) == (0, ""), run.stdout
            return bool(server.get(f"/jobs/{job}")["state"] == "succeeded")

        until(ended)
        assert server.get("/versions")["live"] == 2
