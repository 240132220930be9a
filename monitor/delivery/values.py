"""How the values are declared that are made for every generation: facts, requests, records, verdicts."""

import dataclasses
from typing import TYPE_CHECKING, Any

__all__ = ["value"]

if TYPE_CHECKING:
    from dataclasses import dataclass as value
else:

    def value(cls: type | None = None, /, *, frozen: bool, **options: Any) -> Any:
        """A dataclass that nobody changes: the type checker sees to that, at run time nothing does.

        Frozen at run time, a dataclass sets each field by a call, and takes five times as long to make. There are some
        sixty of them in a generation.
        """
        return dataclasses.dataclass(cls, unsafe_hash=frozen, **options)
