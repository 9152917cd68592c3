"""Folders that are to be written into."""

from pathlib import Path


def make_writable(folder: Path) -> None:
    """Makes the folder where it is missing, and sees that a file can be made in it. Raises OSError where not."""
    folder.mkdir(parents=True, exist_ok=True)
    test = folder / ".writable"
    test.touch()
    test.unlink(missing_ok=True)
