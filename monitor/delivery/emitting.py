"""Telling facts without being harmed by who listens."""

import logging
from collections.abc import Callable

from monitor.delivery.facts import Fact

Emit = Callable[[Fact], None]

_logger = logging.getLogger(__name__)


def unharmed(emit: Emit) -> Emit:
    """`emit`, but whatever it raises is logged and goes no further: the delivery goes on."""

    def emit_unharmed(fact: Fact) -> None:
        try:
            emit(fact)
        except Exception:
            _logger.exception("nobody may have heard of %s", type(fact).__name__)

    return emit_unharmed
