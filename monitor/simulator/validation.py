"""Whether the body of a create call is one, and if not, what FastAPI would say about it."""

from collections.abc import Callable
from typing import Any, Final

import orjson

_Problem = dict[str, Any]
_SHOT_SIZES: Final = (
    "Extreme Long Shot",
    "Long Shot",
    "Medium Shot",
    "Medium Close-Up",
    "Close-Up",
    "Extreme Close-Up",
    "Two-Shot",
    "Detail Shot",
)
_NO_STRING: Final = ("string_type", "Input should be a valid string")
_NO_INT: Final = ("int_type", "Input should be a valid integer")
_NO_NUMBER: Final = ("float_type", "Input should be a valid number")
_NO_SHOT_SIZE: Final = ("enum", f"Input should be {', '.join(map(repr, _SHOT_SIZES))}")


class BodyRefused(ValueError):
    """The body of a create call is none. `problems` are FastAPI's."""

    def __init__(self, problems: list[_Problem]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = problems


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_OPTIONAL: Final[dict[str, tuple[Callable[[Any], bool], tuple[str, str]]]] = {
    "negative_prompt": (lambda value: isinstance(value, str), _NO_STRING),
    "style_name": (lambda value: isinstance(value, str), _NO_STRING),
    "width": (_is_int, _NO_INT),
    "height": (_is_int, _NO_INT),
    "steps": (_is_int, _NO_INT),
    "seed": (_is_int, _NO_INT),
    "duration": (lambda value: _is_int(value) or isinstance(value, float), _NO_NUMBER),
    "shot_size": (lambda value: value in _SHOT_SIZES, _NO_SHOT_SIZE),
}
"""What may be left out or null. Keys that the real provider does not know are ignored, as it does."""


def parse_create(raw: bytes, *, kind: str, is_project: bool) -> dict[str, Any]:
    """The `config` of a create call. Only a video needs no prompt. Raises BodyRefused."""
    payload = _parse_object(raw)
    problems = _project_problems(payload) if is_project else []
    config = payload.get("config")
    if isinstance(config, dict):
        problems += _config_problems(config, kind)
    else:
        problems.append(_absent(payload, ["body"], "config", ("dict_type", "Input should be a valid dictionary")))
    if problems:
        raise BodyRefused(problems)
    return dict(config or {})


def problem(type_: str, loc: list[str | int], msg: str, found: Any) -> _Problem:
    """One entry of FastAPI's `detail`."""
    return {"type": type_, "loc": loc, "msg": msg, "input": found}


def _parse_object(raw: bytes) -> dict[str, Any]:
    try:
        payload = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BodyRefused([problem("json_invalid", ["body", error.pos], "JSON decode error", {})]) from None
    if not isinstance(payload, dict):
        msg = "Input should be a valid dictionary or object to extract fields from"
        raise BodyRefused([problem("model_attributes_type", ["body"], msg, payload)])
    return payload


def _project_problems(payload: dict[str, Any]) -> list[_Problem]:
    """A project names its template, if only by null, and is of type `media`; `image` has been refused since 2025."""
    problems = []
    if "template_name" not in payload:
        problems.append(problem("missing", ["body", "template_name"], "Field required", payload))
    if (type_ := payload.get("type", "media")) != "media":
        problems.append(problem("literal_error", ["body", "type"], "Input should be 'media'", type_))
    return problems


def _config_problems(config: dict[str, Any], kind: str) -> list[_Problem]:
    required = ("generation_config_name",) if kind == "video" else ("prompt", "generation_config_name")
    loc = ["body", "config"]
    problems = [_absent(config, loc, key, _NO_STRING) for key in required if not isinstance(config.get(key), str)]
    if "prompt" not in required and not isinstance(config.get("prompt", ""), str):
        problems.append(_absent(config, loc, "prompt", _NO_STRING))
    for key, (is_fine, (type_, msg)) in _OPTIONAL.items():
        value = config.get(key)
        if value is not None and not is_fine(value):
            problems.append(problem(type_, ["body", "config", key], msg, value))
    return problems


def _absent(where: dict[str, Any], loc: list[str], key: str, wrong: tuple[str, str]) -> _Problem:
    """`key` is missing, or there and wrong."""
    if key not in where:
        return problem("missing", [*loc, key], "Field required", where)
    return problem(wrong[0], [*loc, key], wrong[1], where[key])
