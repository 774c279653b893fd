"""Promotions under load: each worker's next response is by the new version, and none fails."""

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

pytestmark = pytest.mark.process

SWAPS = 200
CLIENTS = 6
STATES: list[list[float]] = [[1, 0, 1], [0, 1, 1], [0, 0, 1], [1, 1, 1], [0.5, 0.25, 1], [1, 1, 0]]


@pytest.mark.storm
def test_promotions_under_load_fail_no_request_and_mix_no_versions(tmp_path: Path) -> None:
    with Server(tmp_path, workers=4) as server:
        for seed in ("5", "11"):
            run = streetlight("train", "--no-promote", "--seed", seed, data_dir=tmp_path)
            assert run.returncode == 0, run.stderr
        repository = ModelRepository(tmp_path / "models")
        networks = {number: repository.load(number).network for number in (1, 2, 3)}
        assert len({networks[n].score([0, 1, 1]) for n in networks}) == 3
        done = threading.Event()

        responses: list[list[tuple[list[float], Any]]] = [[] for _ in range(CLIENTS)]

        def send_requests(client: int) -> None:
            with urllib3.PoolManager(maxsize=1, retries=False) as pool:
                while not done.is_set():
                    lights = STATES[(client + len(responses[client])) % len(STATES)]
                    response = pool.request(
                        "POST", f"{server.url}/predict", json={"lights": lights}
                    )
                    assert response.status == 200, response.data
                    responses[client].append((lights, response.json()))

        def two_more_responses_each(counts: list[int]) -> bool:
            failed = [client.exception() for client in clients if client.done()]
            assert not failed, failed
            return all(len(received) > n + 1 for received, n in zip(responses, counts, strict=True))

        def swap() -> None:
            # Separate connections, which the kernel spreads over the workers.
            pools = [urllib3.PoolManager(maxsize=1, retries=False) for _ in range(16)]
            for i in range(SWAPS):
                if i % 3 == 2:
                    live = server.post("/rollback")["live"]
                else:
                    live = i % 3 + 1 if server.get("/versions")["live"] != i % 3 + 1 else 3
                    server.post(f"/versions/{live}/promote")
                counts = [len(received) for received in responses]
                for pool in pools[i % 4 :: 4]:
                    response = pool.request("GET", f"{server.url}/predict?lights=0,1,1")
                    assert response.json()["version"] == live
                # The second response is to a request that began after the promotion.
                until(partial(two_more_responses_each, counts))
                newest = [received[n + 1][1] for received, n in zip(responses, counts, strict=True)]
                assert {response["version"] for response in newest} == {live}
            for pool in pools:
                pool.clear()

        with ThreadPoolExecutor(CLIENTS) as threads:
            clients = [threads.submit(send_requests, client) for client in range(CLIENTS)]
            try:
                swap()
            finally:
                done.set()
            for finished in clients:
                finished.result(60)

        all_responses = [response for received in responses for response in received]
        for lights, response in all_responses:
            expected = networks[response["version"]].score(lights)
            assert response["score"].hex() == expected.hex()
        print(f"{SWAPS} swaps, {len(all_responses)} responses from 4 workers, all 200 and exact")
        assert len(repository.promotions()) == SWAPS + 1
