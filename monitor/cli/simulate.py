"""`monitor simulate-provider`: a provider to play with, that can be broken on purpose."""

import re
from typing import Annotated, Final

import typer

from monitor.cli.loop import run, until_told_to_stop
from monitor.cli.output import err
from monitor.simulator.app import serve_simulator
from monitor.simulator.config import RENDER_TIMES, RenderTime, SimulatorConfig

_RENDER_TIME: Final = re.compile(r"(?P<model>[^=\s]+)=(?P<median>\d+(\.\d+)?)/(?P<p95>\d+(\.\d+)?)")
_OPTIONS: Final = {
    "mix": "--mix",
    "time_scale": "--time-scale",
    "fixed_render_s": "--render",
    "render": "--render-time",
    "token": "--token",
}
"""The options by the settings that they set: an error names the one that was typed."""


def simulate_provider(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one.")] = 9100,
    token: Annotated[str, typer.Option(help="Bearer token that it asks for.")] = "simulator-token",  # noqa: S107
    seed: Annotated[int, typer.Option(help="Same seed, same renders, same faults.")] = 0,
    mix: Annotated[
        list[str] | None, typer.Option(help="FAULT=WEIGHT, may be given several times; default healthy=1.")
    ] = None,
    time_scale: Annotated[float, typer.Option(help="Multiplies render times and the faults' delays.")] = 1.0,
    render: Annotated[float | None, typer.Option(help="Every render takes so many seconds, before scaling.")] = None,
    render_time: Annotated[
        list[str] | None,
        typer.Option(help="MODEL=MEDIAN/P95 in seconds, of a log-normal distribution; may be given several times."),
    ] = None,
) -> None:
    """Run the simulated provider until SIGTERM or Ctrl-C. Its faults are listed at /-/faults."""
    try:
        config = SimulatorConfig(
            token=token,
            seed=seed,
            mix=parse_mix(mix) if mix else {"healthy": 1.0},
            time_scale=time_scale,
            fixed_render_s=render,
            render={**RENDER_TIMES, **parse_render_times(render_time or [])},
        )
    except ValueError as error:
        field = re.split(r"\W", str(error), maxsplit=1)[0]
        raise typer.BadParameter(str(error), param_hint=_OPTIONS.get(field)) from None
    run(_simulate(config, host, port))


def parse_mix(items: list[str]) -> dict[str, float]:
    """`["silent=3", "healthy=7"]` as weights. Raises ValueError."""
    mix: dict[str, float] = {}
    for item in items:
        name, _, weight = item.partition("=")
        if name.strip() in mix:
            raise ValueError(f"mix: {name.strip()} is given twice; give each fault one weight")
        try:
            mix[name.strip()] = float(weight)
        except ValueError:
            raise ValueError(f"mix: {item!r} is not FAULT=WEIGHT, as silent=0.3") from None
    return mix


def parse_render_times(items: list[str]) -> dict[str, RenderTime]:
    """`["comfyui/flux=35/120"]` as distributions. Raises ValueError."""
    times: dict[str, RenderTime] = {}
    for item in items:
        told = _RENDER_TIME.fullmatch(item)
        if told is None:
            raise ValueError(f"render: {item!r} is not MODEL=MEDIAN/P95 in seconds, as comfyui/flux=35/120")
        times[told["model"]] = RenderTime(float(told["median"]), float(told["p95"]))
    return times


async def _simulate(config: SimulatorConfig, host: str, port: int) -> None:
    async with serve_simulator(config, host, port) as url:
        err.print(f"simulated provider listens on {url}  (faults at /-/faults, mix at /-/mix)")
        await until_told_to_stop()
