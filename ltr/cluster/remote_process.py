"""The actor that holds a worker's process on its machine, and the files that were sent to it."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ltr.common.own_process import OwnProcess


class RemoteProcess:
    """An :class:`OwnProcess` that is told what to do from far away.

    It stands in a process of Ray, understands nothing of what it passes on, and loads no library.
    """

    def __init__(self, make: bytes | None, threads: int) -> None:
        self._process = OwnProcess(make, threads)
        self._folder: Path | None = None

    def host(self) -> str:
        """Name of its machine."""
        return socket.gethostname()

    def begin(self, call: bytes) -> None:
        """As of OwnProcess."""
        self._process.begin(call)

    def receive(self, seconds: float) -> list[bytes]:
        """As of OwnProcess."""
        return self._process.receive(seconds)

    def interrupt(self) -> None:
        """As of OwnProcess."""
        self._process.interrupt()

    def take_files(self, folder: str, files: Sequence[tuple[str, bytes]], first: bool) -> None:
        """Writes files that were sent, at :func:`place`; the first ones replace all that came before."""
        if first:
            self._remove_files()
            self._folder = sent_folder(folder)
        for path, content in files:
            file = place(folder, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    def end(self, at_once: bool) -> None:
        """Ends the process."""
        if at_once:
            self._process.kill()
        self._process.close()
        self._remove_files()

    def _remove_files(self) -> None:
        if self._folder is not None:
            with contextlib.suppress(OSError):
                shutil.rmtree(self._folder)
        self._folder = None


def sent_folder(name: str) -> Path:
    """The folder on a worker's machine of files that were sent."""
    return Path(tempfile.gettempdir()) / f"ebm_sent_{name}"


def place(folder: str, path: str | Path) -> Path:
    """Where a file lies that was sent to a worker, given where it lies on the sender's machine."""
    absolute = Path(path).absolute()
    return sent_folder(folder) / absolute.relative_to(absolute.anchor)
