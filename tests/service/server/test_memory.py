"""A worker and a trainer that may use little memory fail the work that needs more, and go on."""

import resource
from pathlib import Path

import pytest

from tests.service.conftest import Site

pytestmark = pytest.mark.process

MIB = 1024**2


def limit_memory(pid: int, spare: int) -> None:
    """Limit the address space of a process to `spare` bytes more than it uses now."""
    size = Path(f"/proc/{pid}/status").read_text().partition("VmSize:")[2].split()[0]
    _, hard = resource.prlimit(pid, resource.RLIMIT_AS)
    resource.prlimit(pid, resource.RLIMIT_AS, (int(size) * 1024 + spare, hard))


def test_a_request_that_needs_more_memory_gets_503(tmp_path: Path) -> None:
    body = b'{"lights": [[1, 0, 1]' + b" " * 16 * MIB + b"]}"
    with Site(tmp_path, None) as site:
        assert site.post("/predict/batch", {"lights": [[1, 0, 1]]})["decisions"] == ["walk"]
        [worker] = site.workers()
        limit_memory(worker, 4 * MIB)
        message = site.expect(503, "POST", "/predict/batch", body)["error"]
        assert message.startswith("the server has too little memory for this request")
        for _ in range(20):
            assert site.post("/predict", {"lights": [1, 0, 1]})["decision"] == "walk"
        assert site.workers() == [worker]


def test_a_training_that_needs_more_memory_fails_its_job(
    tmp_path: Path, database_url: str | None
) -> None:
    with Site(tmp_path, database_url, job_lease=30) as site:
        trainer = site.trainer()
        assert site.wait_until_finished(site.retrain())["state"] == "succeeded"
        limit_memory(trainer.process.pid, 2 * MIB)
        job = site.wait_until_finished(site.retrain(hidden_sizes=[1024, 1024]))
        assert (job["state"], job["attempt"]) == ("failed", 1)
        assert job["error"].startswith("the trainer has too little memory for this training")
        limit_memory(trainer.process.pid, 1024 * MIB)
        assert site.wait_until_finished(site.retrain())["state"] == "succeeded"
