"""What a race decides, in the imperative: a driver does it, and tells the race how it went."""

from monitor.delivery.values import value


@value(frozen=True, slots=True)
class OpenStream:
    """Open the event stream; `number` counts connections from 1."""

    number: int


@value(frozen=True, slots=True)
class Resolve:
    """Ask for the URL of a file that an event named; `number` counts tries for this file from 1."""

    file_id: str
    number: int


@value(frozen=True, slots=True)
class Poll:
    """Ask for the status, and resolve a file id if that is the answer. Attempt 0 is the check on open."""

    attempt: int


Instruction = OpenStream | Resolve | Poll
