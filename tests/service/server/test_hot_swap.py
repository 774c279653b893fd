"""Switching versions under load: every worker's next request, no dropped and no mixed answer."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import urllib3

from streetlight.model.registry.repository import ModelRepository
from tests.server import Server, streetlight
from tests.service.conftest import until

SWAPS = 200
CLIENTS = 6
STATES: list[list[float]] = [[1, 0, 1], [0, 1, 1], [0, 0, 1], [1, 1, 1], [0.5, 0.25, 1], [1, 1, 0]]


@pytest.mark.storm
def test_hundreds_of_swaps_drop_nothing_and_mix_nothing(tmp_path: Path) -> None:
    with Server(tmp_path, workers=4) as server:
        for seed in ("5", "11"):
            run = streetlight("train", "--no-promote", "--seed", seed, data_dir=tmp_path)
            assert run.returncode == 0, run.stderr
        repository = ModelRepository(tmp_path / "models")
        networks = {number: repository.load(number).network for number in (1, 2, 3)}
        assert len({networks[n].score([0, 1, 1]) for n in networks}) == 3
        done = threading.Event()

        answers: list[list[tuple[list[float], Any]]] = [[] for _ in range(CLIENTS)]

        def load(client: int) -> None:
            with urllib3.PoolManager(maxsize=1, retries=False) as pool:
                while not done.is_set():
                    lights = STATES[(client + len(answers[client])) % len(STATES)]
                    response = pool.request(
                        "POST", f"{server.url}/predict", json={"lights": lights}
                    )
                    assert response.status == 200, response.data
                    answers[client].append((lights, response.json()))

        def all_answered_twice(counts: list[int]) -> bool:
            failed = [client.exception() for client in clients if client.done()]
            assert not failed, failed
            return all(len(told) > n + 1 for told, n in zip(answers, counts, strict=True))

        def swap() -> None:
            # Connections of their own, which the kernel spreads over the workers.
            pools = [urllib3.PoolManager(maxsize=1, retries=False) for _ in range(16)]
            for i in range(SWAPS):
                if i % 3 == 2:
                    live = server.post("/rollback")["live"]
                else:
                    live = i % 3 + 1 if server.get("/versions")["live"] != i % 3 + 1 else 3
                    server.post(f"/versions/{live}/promote")
                counts = [len(told) for told in answers]
                for pool in pools[i % 4 :: 4]:
                    response = pool.request("GET", f"{server.url}/predict?lights=0,1,1")
                    assert response.json()["version"] == live
                # The second answer is to a request that began after the switch.
                until(partial(all_answered_twice, counts))
                seconds = [told[n + 1][1] for told, n in zip(answers, counts, strict=True)]
                assert {answer["version"] for answer in seconds} == {live}
            for pool in pools:
                pool.clear()

        with ThreadPoolExecutor(CLIENTS) as threads:
            clients = [threads.submit(load, client) for client in range(CLIENTS)]
            try:
                swap()
            finally:
                done.set()
            for finished in clients:
                finished.result(60)

        exact = [answer for told in answers for answer in told]
        for lights, answer in exact:
            expected = networks[answer["version"]].score(lights)
            assert answer["score"].hex() == expected.hex()
        print(f"{SWAPS} swaps, {len(exact)} answers from 4 workers, all of them 200 and exact")
        assert len(repository.history()) == SWAPS + 1
