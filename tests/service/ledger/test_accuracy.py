"""Tests of the accuracy of versions on the ledger."""

from sqlalchemy import Engine

from streetlight.service.ledger.accuracy import Accuracy, accuracy_by_version, recent_accuracy
from streetlight.service.ledger.queries import withdraw
from tests.service.ledger.test_queries import STOPS, WALKS, observe


def test_the_accuracy_of_each_version_is_counted(engine: Engine) -> None:
    observe(engine, "walk")
    assert accuracy_by_version(engine) == {}

    observe(engine, "walk", "walk", "stop", live=WALKS)
    observe(engine, "walk", "stop", "stop", "walk", "walk", live=STOPS)
    assert accuracy_by_version(engine) == {1: Accuracy(3, 2), 2: Accuracy(5, 2)}

    withdraw(engine, 4)
    withdraw(engine, 5)
    assert accuracy_by_version(engine) == {1: Accuracy(2, 2), 2: Accuracy(4, 2)}


def test_the_recent_accuracy_covers_the_last_observations(engine: Engine) -> None:
    observe(engine, "stop", "stop", "walk", "walk", "stop", live=WALKS)
    observe(engine, "stop", "stop", live=STOPS)
    observe(engine, "stop")

    assert recent_accuracy(engine, 1, 10) == Accuracy(5, 2)
    assert recent_accuracy(engine, 1, 3) == Accuracy(3, 2)
    assert recent_accuracy(engine, 2, 10) == Accuracy(2, 2)
    assert recent_accuracy(engine, 3, 10) == Accuracy(0, 0)

    withdraw(engine, 5)
    assert recent_accuracy(engine, 1, 3) == Accuracy(3, 2)
    assert recent_accuracy(engine, 1, 2) == Accuracy(2, 2)
