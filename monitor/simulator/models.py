"""The models that the simulated provider offers, as its page of generation configs lists them."""

from typing import Any, Final

from monitor.simulator.config import SimulatorConfig

_TYPES: Final = {"comfyui/ltx": "image_to_video", "fal-ai/flux-pro/kontext": "image_to_image"}
_SOURCES: Final = {
    "comfyui": "local",
    "fal-ai": "fal_ai",
    "google-cloud": "google_cloud",
    "azure-openai": "azure_openai_image",
}
_VIDEO: Final = ("video", "veo", "sora", "ltx")


def list_generation_configs(config: SimulatorConfig) -> dict[str, Any]:
    """The page of `IGenerationConfigRead`: the models it has render times of. Any other model is accepted too."""
    items = [generation_config_read(name) for name in sorted(config.render, reverse=True)]
    return {"items": items, "total": len(items), "limit": 50, "offset": 0, "next": None}


def generation_config_read(name: str) -> dict[str, Any]:
    """An `IGenerationConfigRead`."""
    is_video = any(word in name for word in _VIDEO)
    is_from_image = name.endswith("image-to-video")
    usual = "image_to_video" if is_from_image else "text_to_video" if is_video else "text_to_image"
    source = "azure_openai_sora" if name.endswith("sora") else _SOURCES.get(name.partition("/")[0], "local")
    return {"name": name, "label": None, "type": _TYPES.get(name, usual), "source": source, "params": {}}
