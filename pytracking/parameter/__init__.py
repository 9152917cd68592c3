"""Parameter files: `parameter/<tracker>/<name>.py` has `parameters()`, which returns that tracker's settings."""
