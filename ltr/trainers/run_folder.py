"""The folder of a training: one that all its processes see, or one on each machine that has no part in that.

The first process writes. On a machine that does not see its folder, the first process there writes the same into a
folder of its own, so that each machine can continue if another is lost. A training continues from the furthest state
that any of them has.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ltr.common.errors import UserError
from ltr.common.files import remove_abandoned, writing
from ltr.common.locks import locked
from ltr.trainers.checkpoint import link_checkpoint, read_latest, remove_checkpoints, save_checkpoint
from ltr.trainers.processes import Processes

_SECONDS_TO_END = 60  # that the processes of an earlier attempt may still hold the folder


class RunFolder:
    """A training's folder.

    Attributes:
        path: of the folder.
        is_written_here: whether this process writes into it.
        has_copies: whether other processes do so as well.
    """

    def __init__(self, path: Path, processes: Processes) -> None:
        self.path = Path(path)
        self.processes = processes
        self.is_written_here = processes.is_first
        self.has_copies = False

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """A block during which no other training can use the folder; it is made if missing.

        Raises:
            UserError: if another training uses it, or it cannot be written.
        """
        processes, mark = self.processes, self.path / f".{secrets.token_hex(8)}.tmp"
        with contextlib.ExitStack() as stack:
            with processes.together():
                if processes.is_first:
                    self._claim(stack)
                    mark.touch()
            if processes.world > 1:
                seen = self.path / processes.send(mark.name)  # by those for whom it is the same folder
                with processes.together():
                    if processes.is_first_of_machine and not seen.exists():
                        self._claim(stack)
                        self.is_written_here = True
                self.has_copies = sum(processes.gather(self.is_written_here)) > 1
            mark.unlink(missing_ok=True)
            yield

    def _claim(self, stack: contextlib.ExitStack) -> None:
        with writing(self.path, "choose another --workspace"):
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock(stack)
        remove_abandoned(self.path)

    def _lock(self, stack: contextlib.ExitStack) -> None:
        def refuse() -> None:
            raise UserError(f"another process is training in {self.path}. Wait for it, or choose another --run_name.")

        end = time.monotonic() + (_SECONDS_TO_END if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0" else 0)
        while True:
            try:
                stack.enter_context(locked(self.path / ".lock", when_taken=refuse))
                return
            except UserError:
                if time.monotonic() > end:
                    raise
                time.sleep(1)

    def save(self, content: dict[str, Any], best: bool) -> None:
        """Write last.pth, and before it best.pth if it is the best: a process that dies in between does both again."""
        last, previous = self.path / "last.pth", self.path / "previous.pth"
        if best:
            save_checkpoint(self.path / "best.pth", content)
            link_checkpoint(self.path / "best.pth", last, previous)
        else:
            save_checkpoint(last, content, previous)

    def clear(self) -> None:
        """Delete the checkpoints, everywhere.

        Raises:
            UserError: if they cannot be deleted.
        """
        with self.processes.together():
            if self.is_written_here:
                with writing(self.path, "choose another --run_name"):
                    remove_checkpoints(self.path)

    def latest(self) -> tuple[Path, str, dict[str, Any]] | None:
        """The furthest state of all folders: its file, that file's name for messages, and its content.

        Raises:
            CheckpointError: if one cannot be read.
        """
        processes, found, position = self.processes, None, (-1, -1)
        with processes.together():
            latest = read_latest(self.path) if self.is_written_here else None
            if latest is not None:
                path, content = latest
                name = f"{path}" + ("" if processes.is_first else f" of {processes.name}")
                found, position = (path, name, content), _position(content)
        positions = processes.gather(position)
        return processes.send(found, positions.index(max(positions)))


def _position(content: dict[str, Any]) -> tuple[int, int]:
    return content["position"]["epoch"], content["position"]["step"]
