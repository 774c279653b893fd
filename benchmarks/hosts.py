"""Benchmark of many hosts that share PostgreSQL: promotions, faults, and what the follower costs.

The hosts are network namespaces, so it needs root. `tests.many_hosts` has what they go through.
"""

import json
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks import bodies, process_tree, results
from benchmarks.contenders import CONTENDERS, STREETLIGHT
from benchmarks.load import Load, measure
from benchmarks.results import Table
from benchmarks.servers import running
from tests import many_hosts
from tests.hosts import DatabaseHost, Installation
from tests.many_hosts import PATH, Switch
from tests.network import Network
from tests.service.conftest import until

PROMOTIONS = int(os.environ.get("PROMOTIONS", "42"))
JOBS, KILLS, FAULTS = 30, 10, 20
MANY_HOSTS, MANY_PROMOTIONS = 20, 10
ROUNDS = int(os.environ.get("ROUNDS", "15"))
REST_SECONDS = 10
BIN_MS = 25
# A name and the command of another state of the code, such as 927cbfb=/path/bin/streetlight, to
# compare its predictions.
BASE, _, BASE_COMMAND = os.environ.get("BASE", "").partition("=")


def ms(seconds: float) -> str:
    """Return a time in milliseconds."""
    return f"{seconds * 1e3:,.0f} ms"


def spread(seconds: Sequence[float]) -> str:
    """Return the median and the maximum of times."""
    return f"{ms(statistics.median(seconds))}, at most {ms(max(seconds))}"


def histogram(title: str, note: str, columns: Sequence[Sequence[float]]) -> Table:
    """Return a table with a column of bars for the times of each host."""
    counts = [Counter(int(seconds * 1e3 // BIN_MS) for seconds in column) for column in columns]
    bins = range(min(map(min, counts)), max(map(max, counts)) + 1)
    rows = [
        [f"{n * BIN_MS} to {(n + 1) * BIN_MS}", *("#" * count[n] for count in counts)] for n in bins
    ]
    header = ["ms", *(f"host {n}" for n in range(1, len(columns) + 1))]
    return Table(title, header, rows, note)


def promotions(installation: Installation) -> list[Table]:
    """Return the times of promotions while all hosts predict."""
    switches = many_hosts.switches(installation, PROMOTIONS)
    times = [switch.answered for switch in switches]
    rows = [
        ["promotions", f"{len(switches)}"],
        ["predictions", f"{sum(switch.predictions for switch in switches):,}"],
        [
            "by the former version, of requests that began after `promote` had answered",
            f"{sum(switch.stale for switch in switches)}",
        ],
        ["`promote`", spread(times)],
    ]

    def by_host(seconds: Callable[[Switch, int], float]) -> list[list[float]]:
        hosts = range(len(installation.sites))
        return [[seconds(switch, host) for switch in switches] for host in hosts]

    return [
        Table("Promotions under load", ["", ""], rows, "Each time sent to another host."),
        histogram(
            "Switch times",
            "From the request of `promote` to the first request that the new version answered.",
            by_host(lambda switch, host: switch.first_new[host]),
        ),
        histogram(
            "Before `promote` answered",
            "From the last request that the former version answered to the answer of `promote`.",
            by_host(lambda switch, host: switch.answered - switch.last_old[host]),
        ),
    ]


def rest(installation: Installation) -> Table:
    """Return what a follower costs while nothing happens."""
    statement = (
        "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'postgres'"
    )
    followers = [until(site.follower) for site in installation.sites]
    servers = installation.database.pid

    def read() -> tuple[float, float, int]:
        cpu = sum(map(process_tree.cpu_seconds, followers))
        return (
            cpu,
            process_tree.cpu_seconds(servers),
            int(installation.database.query(statement)[0][0]),
        )

    before = read()
    time.sleep(REST_SECONDS)  # the time that is measured
    cpu, database, transactions = (b - a for a, b in zip(before, read(), strict=True))
    hosts = REST_SECONDS * len(followers)
    rows = [
        ["processor time of the follower", f"{cpu / hosts:.2%} of a processor"],
        ["processor time of PostgreSQL", f"{database / hosts:.2%} of a processor"],
        ["transactions, with the trainers'", f"{transactions / hosts:.1f} a second"],
    ]
    return Table("At rest, for each host", ["", ""], rows, f"Over {REST_SECONDS} s.")


def faults(installation: Installation, folder: Path) -> Table:
    """Return how long hosts take to notice and to get over faults."""
    rows = []
    for name, fault in (
        ("follower stopped (SIGSTOP)", many_hosts.stopped_follower),
        ("packets between a host and the database lost", many_hosts.partition),
    ):
        cut = many_hosts.cut_off(installation, fault)
        text = (
            f"`/readyz` says so after {ms(cut.reported)}; `promote` names the host after "
            f"{ms(cut.promoted)}; the host switches {ms(cut.switched)} after the end of the fault"
        )
        rows.append([name, text])
    named = many_hosts.promotions_beside_faults(installation, FAULTS)
    text = (
        f"`promote` named the host {named} times; the other times it answered by the new version, "
        "as all others always did"
    )
    rows.append([f"one of these two begins during a promotion, {FAULTS} times", text])
    took = many_hosts.killed_follower(installation)
    rows.append(["follower killed", f"its host answers by a new version after {ms(took)}"])
    took = many_hosts.cold_host_without_database(installation)
    text = f"not ready, `/readyz` says why; ready {ms(took)} after the database is back"
    rows.append(["host without copies and without the database", text])
    took = many_hosts.cold_host(installation)
    text = f"ready after {ms(took)}, with the live version; its process starts in that time"
    rows.append(["new host without copies", text])
    took = many_hosts.jobs_under_kills(installation, JOBS, KILLS)
    query = installation.database.query
    ((versions,),) = query("SELECT count(*) FROM versions")
    ((count, last),) = query("SELECT count(*), max(id) FROM promotions")
    text = (
        f"all succeeded, after {took:.0f} s, with one version each; {versions} versions, whose "
        f"copies have the digests of the rows on every host; {count} promotions, with ids to {last}"
    )
    rows.append([f"{KILLS} `kill -9` of all processes of a host during {JOBS} jobs", text])
    hosts = [installation.host(clock=seconds) for seconds in (3600, -3600)]
    installation.start(*hosts)
    many_hosts.different_clocks(installation)
    text = "every job in its first attempt; no host is late, behind or unheard"
    rows.append(["clocks an hour fast and an hour slow", text])
    with Installation(folder, trainers=1, standby=True) as other:
        many_hosts.lost_commit(other)
    text = "the number of the lost version was given again: every host answers by the new one"
    rows.append(["failover to a standby that misses a version and its promotion", text])
    return Table("Faults", ["what happens", "what it costs"], rows)


def first_starts(folder: Path) -> Table:
    """Return what many servers do that start at once on an empty database, and promotions."""
    with Installation(folder, MANY_HOSTS, trainers=1) as installation:
        sites = installation.sites
        versions = installation.database.query("SELECT number FROM versions")
        answers = {json.dumps(site.get(PATH)) for site in sites}
        live, other = many_hosts.versions_to_switch(sites[0])
        until(lambda: not many_hosts.behind(sites[0], sites))
        times, stale = [], 0
        for n in range(MANY_PROMOTIONS):
            version = (other, live)[n % 2]
            began = time.monotonic()
            late = many_hosts.promote(sites, sites[n % MANY_HOSTS], version)
            times.append(time.monotonic() - began)
            stale += len(late) + sum(site.get(PATH)["version"] != version for site in sites)
    rows = [
        ["first starts at once, on an empty database", f"{MANY_HOSTS}"],
        ["versions, and different answers of the hosts", f"{len(versions)}, {len(answers)}"],
        [f"`promote`, {MANY_PROMOTIONS} times", spread(times)],
        ["hosts that lagged, or answered by the former version afterwards", f"{stale}"],
    ]
    return Table(f"{MANY_HOSTS} hosts on this machine", ["", ""], rows)


def predictions(folder: Path) -> Table:
    """Return the processor time of a prediction with SQLite and with PostgreSQL, in turns."""
    body = folder / "body"
    body.write_bytes(bodies.one_row(v2=False))
    contender = next(c for c in CONTENDERS if c.name == STREETLIGHT)
    with ExitStack() as stack:
        database = stack.enter_context(DatabaseHost(stack.enter_context(Network()).host()))
        shared = {"STREETLIGHT_DATABASE_URL": database.url}
        contenders = {"SQLite": contender, "PostgreSQL": replace(contender, settings=shared)}
        if BASE:
            base = replace(contender, command=(BASE_COMMAND, "serve"))
            contenders = {f"SQLite, {BASE}": base, **contenders}
        servers = {}
        for name, each in contenders.items():
            data = folder / name
            data.mkdir()
            servers[name] = stack.enter_context(running(each, data, data / "log"))
        turns = [
            {
                name: measure(server, Load("/predict", body, 8), 1)
                for name, server in servers.items()
            }
            for _ in range(ROUNDS)
        ]
    first, rows = next(iter(servers)), []
    for name in servers:
        cpu = statistics.median(turn[name].cpu for turn in turns)
        ratio = statistics.median(turn[name].cpu / turn[first].cpu for turn in turns)
        p99 = statistics.median(turn[name].p99 for turn in turns)
        rows.append([name, f"{cpu:.0f}", f"{ratio:.3f}", f"{p99:.2f}"])
    header = ["", "CPU us", "ratio", "p99 ms"]
    note = (
        f"POST /predict, 8 connections; medians of {ROUNDS} rounds of a second each, in turns. All "
        "processes of a server count: with PostgreSQL also the follower."
    )
    return Table("A prediction", header, rows, note)


def transcript(installation: Installation) -> str:
    """Return what three hosts answer while one of them is killed, and later cut off."""
    sites, lines = installation.sites, []

    def curl(number: int, path: str, method: str = "GET") -> None:
        option = "" if method == "GET" else f"-X {method} "
        lines.append(f"curl {option}'http://host-{number}:8000{path}'")
        body = sites[number - 1].request(method, path).data.decode().strip()
        lines.append(body[:300])

    def predict() -> None:
        for number in (1, 2, 3):
            curl(number, PATH)

    one, two = many_hosts.versions_to_switch(sites[0])
    until(lambda: not many_hosts.behind(sites[0], sites))
    lines.append("# Promote on one host, predict on all.")
    curl(1, f"/versions/{two}/promote", "POST")
    predict()
    lines.append("# Kill all processes of host 3: a promotion names it.")
    sites[2].kill()
    curl(2, f"/versions/{one}/promote", "POST")
    lines.append("# Start it again: it is ready with the version of now.")
    sites[2].restart()
    predict()
    until(lambda: not many_hosts.missing(sites[2]) and not many_hosts.behind(sites[0], sites))
    lines.append("# Lose the packets between host 3 and the database: it goes on, and says so.")
    with many_hosts.partition(installation, sites[2]):
        until(lambda: many_hosts.missing(sites[2]))
        curl(1, f"/versions/{two}/promote", "POST")
        predict()
        curl(3, "/readyz")
    lines.append("# Deliver them again.")
    until(lambda: not many_hosts.missing(sites[2]))
    predict()
    curl(1, "/hosts")
    return "\n".join(["## Transcript", "", "```", *lines, "```", ""])


def main(folder: Path) -> None:
    """Run the benchmark and write `results/hosts.md`."""
    with Installation(folder / "three", trainers=2) as installation:
        tables: list[Table | str] = [*promotions(installation), rest(installation)]
        tables.append(transcript(installation))
        tables.append(faults(installation, folder / "standby"))
    tables.append(first_starts(folder / "many"))
    tables.append(predictions(folder))
    summary = (
        "Hosts are network namespaces of one machine, each with a server of one worker and a "
        "folder of its own; two more have trainers, and one has PostgreSQL."
    )
    results.write("hosts", "Many hosts", summary, tables)
