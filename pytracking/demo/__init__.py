"""The two parts of the demo: a generated benchmark, and a real clip."""
