"""What many hosts go through in storms and the benchmark: functions that check, and return figures.

`hosts` has the installation that they break.
"""

import hashlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import NamedTuple, Self

import urllib3

from tests.hosts import Installation, ServiceHost, TrainerHost
from tests.server import DEADLINE
from tests.service.conftest import until

# Networks of different seeds differ in the score of this light state.
LIGHTS = [0, 1, 1]
PATH = "/predict?lights=0,1,1"
PAUSE = 0.001
# How long a promotion waits for hosts that have applied none, and what this machine adds.
WAIT_TIMEOUT = 2.0
MARGIN = 2.0


class Answer(NamedTuple):
    """A prediction: when the request began, and which version answered."""

    begun: float
    version: int


class Traffic:
    """Sends predictions to servers, to each one after another, until the end of the block.

    Attributes:
        answers: the responses of each server, in order.
    """

    def __init__(self, sites: Sequence[ServiceHost]) -> None:
        self.sites = sites
        self.answers: list[list[Answer]] = [[] for _ in sites]
        self._done = threading.Event()

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(len(self.sites))
        self._senders = [
            self._pool.submit(self._send, site, answers)
            for site, answers in zip(self.sites, self.answers, strict=True)
        ]
        return self

    def __exit__(self, *_exception: object) -> None:
        self._done.set()
        for sender in self._senders:
            sender.result(DEADLINE)
        self._pool.shutdown()

    def wait_for_more(self, count: int) -> list[int]:
        """Wait until each server has answered `count` more; return how many each had before."""
        before = [len(answers) for answers in self.answers]
        pairs = list(zip(self.answers, before, strict=True))
        until(lambda: all(len(answers) >= n + count for answers, n in pairs))
        return before

    def _send(self, site: ServiceHost, answers: list[Answer]) -> None:
        while not self._done.wait(PAUSE):
            begun = time.monotonic()
            try:
                response = site.request("GET", PATH)
            except urllib3.exceptions.HTTPError:
                continue  # the host was killed
            if response.status == 200:
                answers.append(Answer(begun, response.json()["version"]))
            else:  # the host starts
                assert response.status == 503, response.data


@dataclass(frozen=True)
class Switch:
    """A promotion under load; times in seconds since the request for it was sent.

    Attributes:
        answered: when it was answered.
        last_old: of each host, when the last request began that the former version answered.
        first_new: of each host, when the first request began that the new version answered.
        stale: responses of the former version to requests that began after the answer.
        predictions: how many predictions were answered meanwhile.
    """

    answered: float
    last_old: list[float]
    first_new: list[float]
    stale: int
    predictions: int


def switch(traffic: Traffic, site: ServiceHost, version: int) -> Switch:
    """Promote a version on one host while all hosts predict."""
    before = traffic.wait_for_more(4)
    sent = time.monotonic()
    late = promote(traffic.sites, site, version)
    answered = time.monotonic()
    assert not late
    traffic.wait_for_more(20)
    answers = [a[n:] for a, n in zip(traffic.answers, before, strict=True)]
    old = [[a.begun for a in of_host if a.version != version] for of_host in answers]
    new = [[a.begun for a in of_host if a.version == version] for of_host in answers]
    return Switch(
        answered - sent,
        [max(begun) - sent for begun in old],
        [min(begun) - sent for begun in new],
        sum(begun > answered for of_host in old for begun in of_host),
        sum(map(len, answers)),
    )


def switches(installation: Installation, count: int) -> list[Switch]:
    """Promote two versions in turns, each time on another host, under load on all."""
    sites = installation.sites
    one, two = versions_to_switch(sites[0])
    with Traffic(sites) as traffic:
        return [switch(traffic, sites[n % len(sites)], (two, one)[n % 2]) for n in range(count)]


def numbers(site: ServiceHost) -> list[int]:
    """Return the numbers of the versions that a host lists, the newest first."""
    return [version["version"] for version in site.get("/versions")["versions"]]


def versions_to_switch(site: ServiceHost) -> tuple[int, int]:
    """Return the live version and another one; train one if there is none."""
    if numbers(site) == [1]:
        train(site, 5)
    live = site.get("/versions")["live"]
    return live, next(number for number in numbers(site) if number != live)


def train(site: ServiceHost, seed: int) -> int:
    """Let a trainer train a version that isn't promoted, and return its number."""
    job = site.wait_until_finished(site.retrain(seed=seed, promote="never"))
    assert job["state"] == "succeeded", job
    until(lambda: job["version"] in numbers(site))
    return int(job["version"])


def jobs_under_kills(installation: Installation, jobs: int, kills: int, seed: int = 0) -> float:
    """Kill whole hosts while trainers run jobs; return the seconds until all jobs had finished."""
    dice = random.Random(seed)  # noqa: S311 - the same kills each time
    sites = installation.sites
    hosts: list[ServiceHost | TrainerHost] = [*sites, *installation.trainers]
    started = time.monotonic()
    submitted_jobs: set[int] = set()
    with ThreadPoolExecutor(1) as pool:
        # Clients try the next host, as a load balancer does.
        submitted = pool.submit(lambda: [submit(sites, f"job-{seed}-{n}", n) for n in range(jobs)])
        for _ in range(kills):
            victim = dice.choice(hosts)
            victim.kill()
            threading.Event().wait(dice.uniform(0, 0.5))
            victim.restart(empty=dice.random() < 0.3)
        submitted_jobs.update(submitted.result(DEADLINE))
    assert len(submitted_jobs) == jobs
    finished = [sites[0].wait_until_finished(number) for number in submitted_jobs]
    assert [job["state"] for job in finished] == ["succeeded"] * jobs
    took = time.monotonic() - started
    rows = installation.database.query("SELECT job, number FROM versions WHERE job IS NOT NULL")
    versions = {int(job): int(number) for job, number in rows}
    assert {job["id"]: job["version"] for job in finished}.items() <= versions.items()
    check(installation)
    return took


def submit(sites: Sequence[ServiceHost], key: str, seed: int) -> int:
    """Queue a job once, by whichever server answers."""
    deadline = time.monotonic() + DEADLINE
    while True:
        for site in sites:
            try:
                response = site.request(
                    "POST", "/retrain", {"seed": seed}, **{"Idempotency-Key": key}
                )
            except urllib3.exceptions.HTTPError:
                continue
            if response.status == 202:
                return int(response.json()["id"])
            assert response.status in (409, 503), response.data
        assert time.monotonic() < deadline


def check(installation: Installation) -> None:
    """Check that the promotions have no gap, and that each host has copies of the same versions."""
    query = installation.database.query
    ids = [int(number) for (number,) in query("SELECT id FROM promotions ORDER BY id")]
    assert ids == list(range(1, len(ids) + 1))
    digests = {int(n): sha256 for n, sha256 in query("SELECT number, sha256 FROM versions")}
    assert sorted(digests) == list(range(1, len(digests) + 1))
    ((live,),) = query("SELECT version FROM promotions ORDER BY id DESC LIMIT 1")
    hosts: list[ServiceHost | TrainerHost] = [*installation.sites, *installation.trainers]
    for host in hosts:
        for file in (host.data_dir / "models").glob("[0-9]*.npz"):
            number, _, name = file.stem.partition("-")
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            assert digests[int(number)] == digest, file
            assert digest.startswith(name), file
    for site in installation.sites:
        until(lambda site=site: site.get(PATH)["version"] == int(live))  # type: ignore[misc]
        site.check()


def promote(sites: Sequence[ServiceHost], site: ServiceHost, version: int) -> list[ServiceHost]:
    """Promote a version on `site`, and return those of `sites` that it names.

    It also names a host that was killed, which got another name if it lost its folder.
    """
    late = site.post(f"/versions/{version}/promote").get("lagging", [])
    return [each for each in sites if name_of(each) in late]


def behind(site: ServiceHost, sites: Sequence[ServiceHost]) -> list[ServiceHost]:
    """Return those of `sites` that haven't applied the last promotion, or are not heard."""
    hosts = {host["name"]: host for host in site.get("/hosts")["hosts"]}
    found = [hosts.get(name_of(each), {"behind": True}) for each in sites]
    pairs = zip(sites, found, strict=True)
    return [each for each, host in pairs if host["behind"] or not host["heard"]]


def name_of(site: ServiceHost) -> str:
    """Return the name of a host."""
    return (site.data_dir / "host").read_text()


def missing(site: ServiceHost) -> list[str]:
    """Return what `/readyz` reports as missing."""
    found: list[str] = site.get("/readyz").get("missing", [])
    return found


# A host can't follow until the end of the block, which yields what `/readyz` reports as missing.
Fault = Callable[[Installation, ServiceHost], AbstractContextManager[str]]


@dataclass(frozen=True)
class Cut:
    """A host that couldn't follow a promotion, in seconds.

    Attributes:
        promoted: what the promotion took, which named the host.
        reported: until `/readyz` of the host said what is missing.
        switched: from the end of the fault until the host answered by the new version.
    """

    promoted: float
    reported: float
    switched: float


@contextmanager
def stopped_follower(_installation: Installation, site: ServiceHost) -> Iterator[str]:
    """Stop the follower of a host, and yield what `/readyz` reports as missing."""
    process = until(site.follower)
    os.kill(process, signal.SIGSTOP)
    yield "follower"
    os.kill(process, signal.SIGCONT)


@contextmanager
def partition(installation: Installation, site: ServiceHost) -> Iterator[str]:
    """Lose the packets between a host and the database."""
    network, database = installation.network, installation.database.host
    network.drop(site.host, database)
    yield "database"
    network.heal(site.host, database)


def cut_off(installation: Installation, fault: Fault) -> Cut:
    """Promote while the last host can't follow, and let it follow again."""
    site, cut = installation.sites[0], installation.sites[-1]
    former, other = versions_to_switch(site)
    until(lambda: not missing(cut) and not behind(site, installation.sites))
    began = time.monotonic()
    with fault(installation, cut) as absent:
        until(lambda: missing(cut) == [absent])
        reported = time.monotonic() - began
        began = time.monotonic()
        assert promote(installation.sites, site, other) == [cut]
        promoted = time.monotonic() - began
        assert promoted < WAIT_TIMEOUT + MARGIN
        assert behind(site, installation.sites) == [cut]
        assert site.get(PATH)["version"] == other
        assert cut.get(PATH)["version"] == former
        assert cut.get("/readyz")["since"]
    began = time.monotonic()
    until(lambda: cut.get(PATH)["version"] == other)
    switched = time.monotonic() - began
    until(lambda: not missing(cut) and not behind(site, installation.sites))
    return Cut(promoted, reported, switched)


def promotions_beside_faults(installation: Installation, count: int, seed: int = 0) -> int:
    """Let a fault begin during each promotion; return how often a promotion named the host.

    A host that a promotion doesn't name answers by the new version, fault or not.
    """
    dice = random.Random(seed)  # noqa: S311 - the same faults each time
    site, victim, sites = installation.sites[0], installation.sites[-1], installation.sites
    named = 0
    for _ in range(count):
        _, other = versions_to_switch(site)
        fault = dice.choice([stopped_follower, partition])
        with Traffic(sites) as traffic, ThreadPoolExecutor(1) as pool:
            promoting = pool.submit(promote, sites, site, other)
            threading.Event().wait(dice.uniform(0, 0.2))
            with fault(installation, victim):
                late = promoting.result(DEADLINE)
                answered = time.monotonic()
                traffic.wait_for_more(20)
        assert set(late) <= {victim}
        for each, answers in zip(sites, traffic.answers, strict=True):
            after = {answer.version for answer in answers if answer.begun > answered}
            assert after == {other} or each in late
        named += len(late)
        until(lambda: not missing(victim) and not behind(site, sites))
    return named


def killed_follower(installation: Installation) -> float:
    """Kill the follower of a host; return the seconds until it follows again.

    A promotion meanwhile waits for it, or names the host.
    """
    site, victim = installation.sites[0], installation.sites[-1]
    _, other = versions_to_switch(site)
    began = time.monotonic()
    os.kill(until(victim.follower), signal.SIGKILL)
    late = promote(installation.sites, site, other)
    if victim.get(PATH)["version"] != other:
        assert late == [victim]
        until(lambda: victim.get(PATH)["version"] == other)
    took = time.monotonic() - began
    until(lambda: not missing(victim) and not behind(site, installation.sites))
    return took


def lost_commit(installation: Installation) -> None:
    """Fail over to a standby that misses the last version and its promotion.

    The last host is cut off until another version has got the number.
    """
    network, database, standby = installation.network, installation.database, installation.standby
    *others, cut = sites = installation.sites
    site = sites[0]
    until(lambda: standby.query("SELECT count(*) FROM hosts") == [[str(len(sites))]])
    network.drop(database.host, standby.host)
    number = train(site, 101)
    for each in sites:
        until(lambda each=each: number in numbers(each))  # type: ignore[misc]
    promote_everywhere(sites, number)
    lost = pinned_scores(site, number)
    for host in (database.host, standby.host):
        network.drop(cut.host, host)
    database.kill()
    network.heal(database.host, standby.host)
    standby.promote()
    installation.database = standby
    for each in others:
        until(lambda each=each: each.request("GET", "/jobs").status == 200)  # type: ignore[misc]
        until(lambda each=each: number not in numbers(each))  # type: ignore[misc]
        assert each.get(PATH)["version"] != number

    assert train(site, 202) == number
    assert cut in promote(sites, site, number)  # and any other that is late
    assert cut.get(PATH)["score"] in lost
    for host in (database.host, standby.host):
        network.heal(cut.host, host)
    new = pinned_scores(site, number)
    assert len(new) == 1
    assert not new & lost
    until(lambda: not missing(cut) and not behind(site, installation.sites))
    ((sha256,),) = standby.query("SELECT sha256 FROM versions ORDER BY number DESC LIMIT 1")
    for each in sites:
        assert pinned_scores(each, number) == new
        assert each.get(PATH)["score"] in new
        file = each.request("GET", f"/versions/{number}/weights").data
        assert hashlib.sha256(file).hexdigest() == sha256
    check(installation)


def promote_everywhere(sites: Sequence[ServiceHost], number: int) -> None:
    """Make a version live on all hosts, unless it is."""
    assert not promote(sites, sites[0], number)
    assert {site.get(PATH)["version"] for site in sites} == {number}


def pinned_scores(site: ServiceHost, number: int) -> set[float]:
    """Return the scores of a version by its number, of which there should be one."""
    path, tensor = f"/versions/{number}", {"name": "lights", "shape": [1, 3], "datatype": "INT8"}
    one = site.post(f"/v1/models/streetlight{path}:predict", {"instances": [LIGHTS]})
    two = site.post(f"/v2/models/streetlight{path}/infer", {"inputs": [tensor | {"data": LIGHTS}]})
    return {one["predictions"][0][0], two["outputs"][0]["data"][0]}


def cold_host(installation: Installation) -> float:
    """Start a host with an empty folder; return the seconds until it was ready."""
    live = installation.sites[0].get(PATH)
    site = installation.host()
    began = time.monotonic()
    installation.start(site)
    took = time.monotonic() - began
    assert site.get(PATH) == live
    assert "first training" not in site.log.read_text()
    return took


def cold_host_without_database(installation: Installation) -> float:
    """Start a host with an empty folder and no database, which isn't ready until it has one.

    Return the seconds from then until it was ready.
    """
    site, live = installation.sites[-1], installation.sites[0].get(PATH)
    site.kill()
    with partition(installation, site):
        site.health = "/livez"
        site.restart(empty=True)
        until(lambda: "the database has not" in site.expect(503, "GET", "/readyz")["error"])
        site.expect(503, "GET", PATH)
        site.health = "/readyz"
    began = time.monotonic()
    site.wait_until_ready()
    took = time.monotonic() - began
    assert site.get(PATH) == live
    assert "first training" not in site.log.read_text()
    return took


def different_clocks(installation: Installation) -> None:
    """Run jobs by trainers on hosts whose clocks differ: no trainer takes a job from another."""
    *_, fast, slow = sites = installation.sites
    for trainer in installation.trainers:
        trainer.kill()
    for site in (fast, slow):
        site.trainer()
    jobs = [fast.retrain(seed=seed) for seed in range(4)]
    finished = [slow.wait_until_finished(job) for job in jobs]
    assert [(job["state"], job["attempt"]) for job in finished] == [("succeeded", 1)] * 4
    live, other = versions_to_switch(fast)
    for site, version in ((fast, other), (slow, live)):
        promote_everywhere([site, *sites], version)
        assert not missing(site)
    assert not behind(sites[0], sites)
    check(installation)
