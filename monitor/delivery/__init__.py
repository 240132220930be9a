"""The domain: how one generation is delivered, and what can be said about it. Imports nothing else of the project."""
