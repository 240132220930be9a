"""Generation monitor: runs generations over SSE and polling, and proves which channel delivered."""

__version__ = "0.1.0"
