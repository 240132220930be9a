"""Runnable measurements: `python -m benchmarks`. Each is a ratio in one run against a bare client."""
