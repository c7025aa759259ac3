"""The recipes that made the built-in models."""
