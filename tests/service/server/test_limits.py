"""Tests of the limits that connections share, with connections that have no client."""

from streetlight.service.server import limits
from streetlight.service.server.limits import MAX_LARGE, MAX_UNSENT, Limits


class Connection:
    """A connection without a client."""

    def __init__(self, *, busy: bool = False, unsent: int = 0) -> None:
        self.busy, self.unsent = busy, unsent
        self.told: list[str] = []

    def evict(self) -> None:
        self.told.append("evict")

    def refuse(self) -> None:
        self.told.append("refuse")

    def abort(self) -> None:
        self.told.append("abort")

    def receive_large(self) -> None:
        self.told.append("receive large")

    def check_deadlines(self, now: float) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError


def test_the_connection_that_has_been_idle_the_longest_is_evicted() -> None:
    shared = Limits(3)
    busy, touched, oldest, newest = Connection(busy=True), Connection(), Connection(), Connection()
    for connection in (busy, touched, oldest):
        shared.add(connection)
    shared.touch(touched)
    shared.add(newest)
    assert [c.told for c in (busy, touched, oldest, newest)] == [[], [], ["evict"], []]
    # Until it has ended, its deadline is checked, but it is neither counted nor evicted again.
    assert oldest in shared.connections()
    shared.add(Connection())
    assert (oldest.told, touched.told) == (["evict"], ["evict"])
    shared.remove(oldest)
    assert oldest not in shared.connections()


def test_a_new_connection_is_refused_if_all_others_are_busy() -> None:
    shared, new = Limits(2), Connection()
    for connection in (Connection(busy=True), Connection(busy=True), new):
        shared.add(connection)
    assert new.told == ["refuse"]


def test_large_requests_are_received_in_turn() -> None:
    shared = Limits(100)
    first, *others = [Connection() for _ in range(MAX_LARGE + 2)]
    assert [shared.reserve_large(connection) for connection in (first, *others)] == [
        *[True] * MAX_LARGE,
        False,
        False,
    ]
    assert shared.reserve_large(first)
    assert shared.delays_others(first)
    assert not shared.delays_others(others[-1])
    shared.release_large(first)
    shared.release_large(others[0])
    assert [c.told for c in others[-2:]] == [["receive large"], ["receive large"]]
    assert not shared.delays_others(others[1])
    # A connection that ends while its request is computed keeps its place.
    shared.remove(others[1])
    assert not shared.reserve_large(first)
    shared.release_large(others[1])
    assert first.told == ["receive large"]


def test_above_the_bound_of_unsent_bytes_the_first_reader_that_stopped_is_aborted() -> None:
    shared = Limits(100)
    readers = [Connection(unsent=MAX_UNSENT // 3) for _ in range(4)]
    for reader in readers:
        shared.pause(reader)
    assert [reader.told for reader in readers] == [["abort"], [], [], []]
    shared.resume(readers[1])
    shared.pause(Connection(unsent=limits.MAX_UNSENT // 3))
    assert readers[2].told == []
