"""A broken observer harms neither the others nor the delivery, and is counted."""

from collections import Counter

import pytest
from structlog.testing import capture_logs

from monitor.delivery.facts import Accepted, Fact
from monitor.delivery.model import Generation
from monitor.telemetry.fanout import Fanout, observer_name
from tests.unit.telemetry.facts_of import GENERATION


class Listening:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[Fact] = []

    def __call__(self, generation: Generation, fact: Fact, /) -> None:
        self.heard.append(fact)


class Broken:
    """Raises, each time the next of its failures."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)

    def __call__(self, generation: Generation, fact: Fact, /) -> None:
        raise self._failures.pop(0) if len(self._failures) > 1 else self._failures[0]


def test_all_hear_every_fact_in_order_whoever_breaks() -> None:
    before, after, failures = Listening(), Listening(), Counter[str]()
    fanout = Fanout([before, Broken(ValueError("no")), after], lambda name: failures.update([name]))
    facts = [Accepted(float(number)) for number in range(5)]
    with capture_logs():
        for fact in facts:
            fanout(GENERATION, fact)
    assert before.heard == after.heard == facts
    assert failures == {"Broken": 5}


def test_the_log_hears_of_each_kind_of_failure_once() -> None:
    fanout = Fanout([Broken(ValueError("1"), ValueError("2"), KeyError("3"), ValueError("4"))], lambda name: None)
    with capture_logs() as lines:
        for _ in range(100):
            fanout(GENERATION, Accepted(0.0))
    assert [type(line["exc_info"]) for line in lines] == [ValueError, KeyError]
    assert {line["observer"] for line in lines} == {"Broken"}


def test_not_even_counting_and_logging_may_harm_the_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoLog:
        def error(self, *args: object, **kwargs: object) -> None:
            raise BrokenPipeError

    def count(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr("monitor.telemetry.fanout._logger", NoLog())
    after = Listening()
    Fanout([Broken(ValueError("no")), after], count)(GENERATION, Accepted(0.0))
    assert after.heard == [Accepted(0.0)]


def test_an_observer_is_called_by_its_class_or_function() -> None:
    def notes(generation: Generation, fact: Fact, /) -> None: ...

    assert (observer_name(Listening()), observer_name(notes)) == ("Listening", "notes")
