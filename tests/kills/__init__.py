"""Commands that are killed at random moments, and continued: `python -m tests.kills`."""
