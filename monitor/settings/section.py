"""What sections of the settings have in common: how strictly they are read, and types of many keys."""

import re
from decimal import Decimal
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")


class Section(BaseModel):
    """One table of the file: no unknown key, and no value in an error of the library's own."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def check_name(name: str) -> str:
    """`name`, if providers, tokens, policies, canaries and instances may be called so. Raises ValueError."""
    if not _NAME.fullmatch(name):
        raise ValueError("a name has 1 to 40 of a-z, 0-9, '_' and '-', and begins with a letter")
    return name


Name = Annotated[str, AfterValidator(check_name)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Usd = Annotated[Decimal, Field(ge=0, le=1_000_000, decimal_places=6, allow_inf_nan=False)]
"""US dollars, exact to a millionth."""
UsdLimit = Annotated[Decimal, Field(gt=0, le=1_000_000, decimal_places=6, allow_inf_nan=False)]
