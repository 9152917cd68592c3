"""Progress and report of a run over many sequences."""

from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from pytracking.evaluation.datasets import TrackingSequence


@dataclass
class RunReport:
    """The outcome of running a tracker over sequences.

    Attributes:
        folder: of the results.
        finished: by sequence, (frames, the tracker's seconds) of this run.
        skipped: sequences that were finished before.
        failed: by sequence, the cause in one sentence.
    """

    folder: Path
    finished: dict[str, tuple[int, float]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def frames_per_second(self) -> float | None:
        """Mean of frames / seconds over the sequences of this run, with the first frame, without reading images."""
        rates = [frames / seconds for frames, seconds in self.finished.values() if seconds > 0]
        return sum(rates) / len(rates) if rates else None

    def summary(self) -> str:
        """What was finished, how fast, what failed and why, and where the results are."""
        rate = self.frames_per_second
        lines = [
            f"{len(self.finished)} finished"
            + (f" at {rate:.1f} frames per second (mean over sequences, reading of images excluded)" if rate else "")
            + (f", {len(self.skipped)} finished before" if self.skipped else "")
            + (f", {len(self.failed)} failed" if self.failed else ""),
        ]
        lines += [f"failed: {name}: {cause}" for name, cause in self.failed.items()]
        return "\n".join([*lines, f"results: {self.folder}"])


class Progress:
    """A progress bar over all frames, and a line for each sequence that ends."""

    def __init__(self, sequences: list[TrackingSequence], report: RunReport):
        self._report = report
        self._count = len(sequences)
        self._ended = 0
        self._bar = tqdm(total=sum(map(len, sequences)), unit="frame", disable=None, smoothing=0.05)

    def advance(self, frames: int) -> None:
        self._bar.update(frames)

    def finish(self, name: str, frames: int, seconds: float) -> None:
        self._report.finished[name] = (frames, seconds)
        self._end(f"{name}: {frames} frames, {frames / max(seconds, 1e-9):.1f} frames per second")

    def fail(self, name: str, cause: str, frames_left: int) -> None:
        self._report.failed[name] = cause
        self._bar.total -= frames_left
        self._end(f"{name} failed: {cause}")

    def _end(self, line: str) -> None:
        self._ended += 1
        self._bar.set_postfix_str(f"{len(self._report.finished)}/{self._count} sequences", refresh=False)
        self.write(line if self._count == 1 else f"[{self._ended}/{self._count}] {line}")

    def write(self, line: str) -> None:
        tqdm.write(line)

    def close(self) -> None:
        self._bar.close()
