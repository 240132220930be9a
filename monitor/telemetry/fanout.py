"""Many observers as one. A broken one is counted and logged; neither the delivery nor the others are harmed."""

from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from monitor.delivery.facts import Fact
from monitor.delivery.model import Generation
from monitor.delivery.ports import Observer

_logger = structlog.stdlib.get_logger(__name__)


def observer_name(observer: Observer) -> str:
    """What an observer is called in the metric of failures: its class, or the function that it is."""
    return getattr(observer, "__name__", type(observer).__name__)


class Fanout:
    """An `Observer` that hands each fact to all of them, in order.

    `count_failure` is told the failing observer's name each time; the log hears of each kind of failure once, since an
    observer that chokes on one kind of fact would else flood it. The alert is on the count.
    """

    def __init__(self, observers: Sequence[Observer], count_failure: Callable[[str], None]) -> None:
        self._observers = tuple(observers)
        self._count_failure = count_failure
        self._known: set[tuple[str, type[Exception]]] = set()

    def __call__(self, generation: Generation, fact: Fact, /) -> None:
        """Tell all of them."""
        for observer in self._observers:
            try:
                observer(generation, fact)
            except Exception as error:  # noqa: BLE001 - whatever an observer does, the delivery goes on
                self._note(observer, error)

    def _note(self, observer: Observer, error: Exception) -> None:
        """Count it, and log it if it is news. Not even that may harm the delivery."""
        name = observer_name(observer)
        with suppress(Exception):
            self._count_failure(name)
        if (name, type(error)) not in self._known:
            self._known.add((name, type(error)))
            with suppress(Exception):
                said = "an observer failed; further failures of this kind are only counted"
                _logger.error(said, observer=name, exc_info=error)
