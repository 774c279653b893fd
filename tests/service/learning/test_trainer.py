"""Tests of the trainer's process: the liveness file that health checks read."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from streetlight.model.recipe import Recipe
from streetlight.service.learning import queue
from streetlight.service.learning.job import JobSpec
from tests.server import STREETLIGHT, environment
from tests.service.conftest import until
from tests.service.services import services_in

ROOT = Path(__file__).parents[3]
ENDLESS_RECIPE = Recipe(iterations=1_000_000, restarts=1000, target_error=0)


def health_check() -> str:
    """Return the shell command that checks the trainer's container."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    kind, command = compose["services"]["trainer"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    return str(command).replace("$$", "$")


@pytest.mark.process
@pytest.mark.parametrize("arguments", [(), ("--restart",)])
def test_a_trainer_that_hangs_is_unhealthy(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Both while it waits for jobs and during a training."""
    liveness = tmp_path / "trainer"
    check = health_check().replace("/tmp/trainer", str(liveness))  # noqa: S108

    def healthy() -> bool:
        return subprocess.run(["sh", "-c", check], capture_output=True, check=False).returncode == 0

    def hang_for_two_minutes(session: int) -> None:
        os.killpg(session, signal.SIGSTOP)
        os.utime(liveness, (0, time.time() - 120))
        assert not healthy()
        os.killpg(session, signal.SIGCONT)
        until(healthy)

    assert not healthy()
    command = [STREETLIGHT, "work", *arguments, "--liveness-file", str(liveness)]
    with (
        subprocess.Popen(
            command, env=environment(data_dir=tmp_path), start_new_session=True
        ) as process,
        services_in(tmp_path, None) as services,
    ):
        try:
            until(healthy)
            hang_for_two_minutes(process.pid)
            job = queue.submit(services.engine, JobSpec(ENDLESS_RECIPE), None)
            until(lambda: queue.get(services.engine, job.id).progress)
            hang_for_two_minutes(process.pid)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
