"""The commands of `ltr`, one a file: each has `main(arguments) -> exit code`."""
