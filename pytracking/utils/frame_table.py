"""A table of values by frame that lies on the disk, so that a run of any length keeps nothing of it in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

Value = int | bytes


class FrameTable:
    """Maps the indices of frames to numbers or bytes, in a nameless file among the system's temporary ones.

    It takes about 2 MB of memory, whatever is in it. Close it, or use it in a ``with`` statement.

    Raises:
        OSError: from every method, if there is no room for it.
    """

    def __init__(self) -> None:
        with _explained():
            self._database = sqlite3.connect("", isolation_level=None)
            self._database.execute("PRAGMA journal_mode = OFF")
            self._database.execute("CREATE TABLE frames (frame INTEGER PRIMARY KEY, value)")
            self._database.execute("BEGIN")

    def __enter__(self) -> FrameTable:
        return self

    def __setitem__(self, frame: int, value: Value) -> None:
        with _explained():
            self._database.execute("INSERT OR REPLACE INTO frames VALUES (?, ?)", (frame, value))

    def get(self, frame: int) -> Value | None:
        """The value of a frame; None without one."""
        with _explained():
            found = self._database.execute("SELECT value FROM frames WHERE frame = ?", (frame,)).fetchone()
        return None if found is None else found[0]

    def __len__(self) -> int:
        with _explained():
            return self._database.execute("SELECT count(*) FROM frames").fetchone()[0]

    def items(self) -> Iterator[tuple[int, Value]]:
        """Frames and values in the order of the frames."""
        with _explained():
            yield from self._database.execute("SELECT frame, value FROM frames ORDER BY frame")

    def ends(self) -> tuple[int, int] | None:
        """The first and the last frame; None if there is none."""
        with _explained():
            first, last = self._database.execute("SELECT min(frame), max(frame) FROM frames").fetchone()
        return None if first is None else (first, last)

    def close(self) -> None:
        """Free the file."""
        self._database.close()

    def __exit__(self, kind, error, trace) -> None:
        self.close()


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise OSError(f"a temporary file fails ({error}); make room, or set TMPDIR to another folder") from error
