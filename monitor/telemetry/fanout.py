"""Many observers as one. A broken one is counted and logged; neither the delivery nor the others are harmed."""

from collections.abc import Callable, Sequence

import structlog

from monitor.delivery.facts import Fact
from monitor.delivery.model import Generation
from monitor.delivery.ports import Observer

_logger = structlog.stdlib.get_logger(__name__)


class Fanout:
    """An `Observer` that hands each fact to all of them, in order.

    `count_failure` is told the failing observer's name each time; the log hears of each kind of failure once.
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
                self._note(type(observer).__name__, error)

    def _note(self, observer: str, error: Exception) -> None:
        self._count_failure(observer)
        if (observer, type(error)) not in self._known:
            self._known.add((observer, type(error)))
            _logger.error("an observer failed; further failures of this kind are only counted", exc_info=error)
