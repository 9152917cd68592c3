"""Parameter files: `parameter/<tracker>/<name>.py` has `parameters()`, which returns the settings of that tracker."""
