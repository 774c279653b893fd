"""Tests of the commands on a host that shares a database, without a server there."""

from pathlib import Path

from tests import databases
from tests.client import App, invoke


def test_the_commands_use_what_other_hosts_have_changed(tmp_path: Path, shared_url: str) -> None:
    here = {"data_dir": tmp_path / "here", "database_url": shared_url}
    with App(tmp_path / "there", database_url=shared_url) as there:
        run = invoke("train", "--if-missing", **here)
        assert (run.returncode, run.stdout) == (0, "version 1 is live: nothing to train\n")
        assert invoke("train", "--seed", "5", **here).returncode == 0
        assert there.post("/versions/2/promote") == {"live": 2, "promotion": None}

        there.post("/rollback")
        listed = invoke("versions", **here)
        assert listed.stderr == ""
        assert [line[:4] for line in listed.stdout.splitlines()[1:]] == ["   2", "*  1"]
        assert invoke("predict", "1", "0", "1", **here).stdout.endswith("version 1\n")
        run = invoke("promote", "2", **here)
        assert run.stdout == "version 2 is live instead of version 1\n"
        there.services.repository.follow()
        assert there.get("/versions")["live"] == 2
        there.expect(202, "POST", "/retrain", {"promote": "always"})
        there.work()
        assert invoke("verify", "3", **here).stdout == "version 3: identical, bit for bit\n"
        there.post("/versions/1/promote")
        run = invoke("rollback", **here)
        assert run.stdout == "version 3 is live instead of version 1\n"
        assert invoke("check", **here).stdout.startswith("checked 3 versions, 7 promotions, ")

        with databases.outage(shared_url):
            for command in (["versions"], ["predict", "1", "0", "1"], ["verify", "3"]):
                run = invoke(*command, **here)
                assert run.returncode == 0
                assert run.stderr.startswith("streetlight: the database can't be used: ")
                assert run.stderr.endswith(f"; reading the copy in {tmp_path}/here/models\n")
            assert invoke("promote", "1", **here).returncode == 2
        assert invoke("versions", **here).stdout.splitlines()[1].startswith("*  3")


def test_an_import_records_what_the_live_version_decides_without_a_copy_of_it(
    tmp_path: Path, shared_url: str
) -> None:
    file = tmp_path / "observations.csv"
    file.write_text("a,b,c,outcome\n1,0,1,walk\n")
    with App(tmp_path / "there", database_url=shared_url) as there:
        for name in ("here", "there"):  # a host without a copy, and one with a damaged copy
            run = invoke("import", str(file), data_dir=tmp_path / name, database_url=shared_url)
            assert run.returncode == 0
            [imported] = there.get(f"/observations?source={file.name}")["observations"]
            assert imported["version"] == 1
            file = file.replace(tmp_path / "others.csv")
            file.write_text("a,b,c,outcome\n0,0,1,walk\n")
            there.services.repository.path(1).write_bytes(b"damaged")


def test_a_training_on_a_new_database_is_its_first_version(tmp_path: Path, shared_url: str) -> None:
    here = {"data_dir": tmp_path / "here", "database_url": shared_url}
    assert invoke("train", "--seed", "5", **here).returncode == 0
    with App(tmp_path / "there", database_url=shared_url) as there:
        assert there.get("/versions/1")["manifest"]["recipe"]["seed"] == 5


def test_a_training_beside_a_former_folder_keeps_its_versions(
    tmp_path: Path, shared_url: str
) -> None:
    assert invoke("train", "--seed", "5", data_dir=tmp_path).returncode == 0
    run = invoke("train", "--seed", "6", data_dir=tmp_path, database_url=shared_url)
    assert "published version 2: " in run.stdout


def test_an_empty_database_beside_copies_is_refused(tmp_path: Path, shared_url: str) -> None:
    assert invoke("train", data_dir=tmp_path, database_url=shared_url).returncode == 0
    with databases.fresh("postgresql") as empty:
        for command in (["train"], ["promote", "1"], ["rollback"]):
            run = invoke(*command, data_dir=tmp_path, database_url=empty)
            assert run.returncode == 2, command
            assert run.stdout == ""
