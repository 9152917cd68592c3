"""The commands of `pytracking`, one a file: each has `main(arguments) -> exit code`."""
