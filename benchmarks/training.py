"""Training: what a pair costs to load, what a step costs to compute, and both together, in pairs per second.

The settings are those of `bbreg ebm` on the small backbone. The images are made: photographs that installed packages
carry, at the size of a video frame and of a small still. Where there is the real data of the tests (EBM_SHARED_DATA),
its training images come as further rows.
"""

import contextlib
import functools
import itertools
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import torch
from torch.utils.data import default_collate

from benchmarks.real_data import real_data
from benchmarks.timing import Table, budget, milliseconds, summarise, time_in_turn, waiting_for, where
from ebm_common import GaussianMixtureProposal
from ltr.actors.bbreg import BBRegActor
from ltr.common.images import REDUCTIONS, read_image
from ltr.data.crops import Crop
from ltr.data.loading import load_batches
from ltr.data.sampling import PATCH, BoxPairs, _View
from ltr.dataset import ImageFolder
from ltr.dataset.base import VideoDataset
from ltr.dataset.generated import Generated
from ltr.dataset.generated.photographs import TRAINING_PHOTOGRAPHS, load_photograph
from ltr.models.backbone.frozen import FrozenBackbone
from ltr.models.bbreg import AtomIoUNet, AtomNet, atom_iou_net
from ltr.train_settings.bbreg import ebm

BATCH = 16
MADE = {
    "1920 x 1080, targets of 120-600 px": ((1920, 1080), (120, 600)),
    "1920 x 1080, targets of 20-100 px": ((1920, 1080), (20, 100)),
    "480 x 360, targets of 20-150 px": ((480, 360), (20, 150)),
}


def run(device: str, quick: bool) -> Iterator[Callable[[], Table]]:
    with tempfile.TemporaryDirectory() as folder:
        sets = _made_sets(Path(folder))
        first = next(iter(sets.values()))
        sets["generated sequences, 320 x 240"] = Generated(200)
        mixed, what = [first, sets["generated sequences, 320 x 240"]], "made stills and generated sequences, in halves"
        real = real_data() / "train"
        if real.is_dir():
            stills, videos = (ImageFolder(real, split="train", kinds=kinds) for kinds in ("stills", "video"))
            sets |= {"real stills, 336 px": stills, "real video frames, 400 px": videos}
            mixed, what = [stills, videos], "real stills and video frames, 2 to 1"
            sets["generated sequences of real photographs"] = Generated(200, photos=real)
        weights = [2.0, 1.0] if real.is_dir() else [1.0, 1.0]
        crop = ebm.settings().crop

        def pairs(*data: VideoDataset, weights: list[float] | None = None) -> BoxPairs:
            return BoxPairs(data, weights or [1.0] * len(data), 10**6, 30, crop)

        loaders = {name: pairs(data) for name, data in sets.items()}
        training = pairs(*mixed, weights=weights)
        with _one_core():
            yield functools.partial(_decoding, Path(folder), quick)
            yield functools.partial(_loader_parts, loaders, quick)
            yield functools.partial(_reduced_against_full, loaders, quick)
        yield functools.partial(_loader_processes, {**loaders, what: training}, quick)
        step = _Step(device)
        yield functools.partial(_step_parts, step, training, quick)
        yield functools.partial(_backbones, step, training, quick)
        yield functools.partial(_whole, step, training, what, quick)


# --- the loader


def _decoding(folder: Path, quick: bool) -> Table:
    table = Table(
        "One large JPEG, 1920 x 1080, read and cropped: one core", ["decoded at", "read ms", "crop ms", "ratio"]
    )
    file = folder / "0" / f"{TRAINING_PHOTOGRAPHS[0]}.jpg"
    crop = Crop.around((960.0, 540.0), 8.0 * PATCH, PATCH)
    images = {k: read_image(file, k) for k in REDUCTIONS}
    functions = {("read", k): functools.partial(read_image, file, k) for k in REDUCTIONS}
    functions |= {("crop", k): functools.partial(crop.extract, images[k], (k, k)) for k in REDUCTIONS}
    times = time_in_turn(functions, repeats=3 if quick else 15)
    whole = {k: times["read", k].median + times["crop", k].median for k in REDUCTIONS}
    for k in REDUCTIONS:
        read, cut = times["read", k], times["crop", k]
        name = "full size" if k == 1 else f"1/{k}"
        cells = [name, milliseconds(read.median), milliseconds(cut.median), f"{whole[1] / whole[k]:.2f}"]
        table.add(cells, reduction=k, read=vars(read), crop=vars(cut), ratio=whole[1] / whole[k])
    size = file.stat().st_size / 1e3
    table.notes.append(f"A file of {size:.0f} kB. ratio: of read and crop at full size to both here.")
    return table


def _loader_parts(loaders: dict[str, BoxPairs], quick: bool) -> Table:
    names = ("read", "crop", "colour", "blur, tensor", "draw")
    table = Table("Loading a pair, one core: ms and per cent", ["images", "pairs/s", "ms", *names])
    # scenes of generated sequences are drawn at the first visit, and cached
    visits = list(loaders.items())
    visits += [(f"{label}, again", data) for label, data in visits if "generated" in label]
    for label, data in table.within_budget(visits, lambda visit: visit[0]):
        wrapped = [
            (VideoDataset, "frames", "read"),
            (Generated, "frames", "read"),
            (VideoDataset, "sequence", "read"),  # generated scenes are laid out there
            (Crop, "extract", "crop"),
            (_View, "_coloured", "colour"),
            (_View, "patch", "blur, tensor"),
        ]
        with _Parts(wrapped, rest="draw") as parts:
            for k in range(10):
                data[k]
            for k in range(10, 30 if quick else 160):
                parts.measure(functools.partial(data.__getitem__, k))
                if k >= 30 and budget.up():
                    break
        total, shares = parts.total(), {name: parts.mean(name) for name in names}
        cells = [f"{milliseconds(s)} ({s / total:.0%})" for s in shares.values()]
        table.add([label, f"{1 / total:.0f}", milliseconds(total), *cells], images=label, total=total, parts=shares)
    table.notes.append(
        "read: from the file, or rendered. Two images a pair; of a still, one is read. Means over pairs."
    )
    return table


def _reduced_against_full(loaders: dict[str, BoxPairs], quick: bool) -> Table:
    table = Table(
        "Loading a pair, one core: images decoded as small as the crop allows, against full size",
        ["images", "read smaller", "full ms", "reduced ms", "ratio"],
    )
    for label in table.within_budget(list(loaders)):
        data = loaders[label]
        numbers = range(20 if quick else 60)
        found = [view.reduction > 1 for k in numbers for view in _views(data, k)]

        def load(data: BoxPairs = data, numbers: range = numbers) -> None:
            for k in numbers:
                data[k]

        def load_full(load: Callable[[], None] = load) -> None:
            with mock.patch.object(_View, "reduction", 1):
                load()

        times = time_in_turn({"full": load_full, "reduced": load}, repeats=3 if quick else 7, warmup=1)
        full, reduced = (times[name].median / len(numbers) for name in ("full", "reduced"))
        cells = [label, f"{np.mean(found):.0%}", milliseconds(full), milliseconds(reduced), f"{full / reduced:.2f}"]
        table.add(cells, images=label, share=float(np.mean(found)), full=full, reduced=reduced)
    return table


def _views(data: BoxPairs, k: int) -> list[_View]:
    rng = np.random.default_rng([data.seed, k])
    return data._draw_views(rng, data._draw_pair(rng)[3])


def _loader_processes(loaders: dict[str, BoxPairs], quick: bool) -> Table:
    counts = (0, 1, 2)
    table = Table(
        "The loader by processes, pairs/s", ["images", "0 (in the training process)", *map(str, counts[1:]), "2 : 0"]
    )
    batches, rounds = (6, 1) if quick else (25, 3)
    for label, data in table.within_budget(loaders.items(), lambda item: item[0]):
        rates = defaultdict(list)
        for _ in budget.share(range(rounds)):
            for workers in counts:
                with contextlib.closing(_batches(data, workers)) as loaded:
                    for _ in range(2 + 2 * workers):  # what was loaded ahead while the processes started
                        next(loaded)
                    start = time.perf_counter()
                    for _ in range(batches):
                        next(loaded)
                    rates[workers].append(batches * BATCH / (time.perf_counter() - start))
        medians = [statistics.median(rates[workers]) for workers in counts]
        ratio = medians[-1] / medians[0]
        table.add([label, *(f"{rate:.0f}" for rate in medians), f"{ratio:.2f}"], images=label, pairs_per_second=rates)
    return table


def _batches(data: BoxPairs, workers: int) -> Iterator[Any]:
    """Batches of BATCH pairs without end, loaded as in training."""
    numbers = (range(k * BATCH, (k + 1) * BATCH) for k in itertools.count())
    with load_batches(data, numbers, workers) as loaded:
        yield from loaded


# --- the step


class _Step:
    """One optimiser step of `bbreg ebm`."""

    def __init__(self, device: str):
        s = ebm.settings()
        torch.manual_seed(0)
        self.device = torch.device(device)
        self.synchronise = waiting_for(device)
        self.actor = BBRegActor(AtomNet(s.model), s.proposals, s.loss, s.refinement).to(self.device).train()
        self.parameters = self.actor.trainable_parameters()
        self.optimizer = torch.optim.Adam(self.parameters, lr=s.optimizer.lr)
        self.clip = s.grad_clip

    def batch(self, loaded: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: value.to(self.device, non_blocking=True) for name, value in loaded.items()}

    def cached(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The batch as a feature cache would give it."""
        out = {name: value for name, value in batch.items() if name.endswith("_box")}
        for which in ("reference", "test"):
            features = self.actor._backbone(batch[f"{which}_image"])
            out |= {f"{which}_{level}": value.half() for level, value in features.items()}
        return out

    def __call__(self, batch: dict[str, torch.Tensor]) -> None:
        self.loss(batch).backward()
        self.update()

    def loss(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.actor(batch)[0]

    def update(self) -> None:
        torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def _step_parts(step: _Step, data: BoxPairs, quick: bool) -> Table:
    batch = step.batch(default_collate([data[k] for k in range(BATCH)]))
    wrapped = [
        (GaussianMixtureProposal, "sample", "candidates"),
        (GaussianMixtureProposal, "log_prob", "candidates"),
        (FrozenBackbone, "__call__", "backbone, both images"),
        (AtomIoUNet, "modulation", "head: reference branch"),
        (AtomIoUNet, "encode", "head: test branch"),
        (AtomIoUNet, "score", "head: linear layers"),
        (atom_iou_net, "prroi_pool", "PrRoIPool, 129 boxes an image"),
        (_Step, "loss", "loss and the rest of the forward pass"),
        (torch.Tensor, "backward", "backward"),
        (_Step, "update", "clipping and optimiser"),
    ]
    names = list(dict.fromkeys(name for _, _, name in wrapped))
    with _Parts(wrapped, rest="rest", wait=step.synchronise) as parts:
        for _ in range(2):
            step(batch)
        parts.clear()
        for _ in range(2 if quick else 7):
            parts.measure(lambda: step(batch))
    table = Table(f"A step: {BATCH} pairs, {where(step.device)}", ["part", "ms", "share"])
    total = parts.total(statistics.median)
    for name in names:
        seconds = parts.mean(name, statistics.median)
        table.add([name, milliseconds(seconds), f"{seconds / total:.1%}"], part=name, seconds=seconds)
    table.add(["whole step", milliseconds(total), f"{BATCH / total:.2f} pairs/s"], part="total", seconds=total)
    return table


def _backbones(step: _Step, data: BoxPairs, quick: bool) -> Table:
    """The frozen part as it is and as it would be, and the step without it."""
    batch = step.batch(default_collate([data[k] for k in range(BATCH)]))
    cached = step.cached(batch)
    backbone = step.actor.net.feature_extractor
    both = torch.cat([batch["reference_image"], batch["test_image"]])

    def plain() -> None:
        with torch.no_grad():
            for which in ("reference", "test"):
                images = batch[f"{which}_image"].float().div_(255)
                backbone(images.contiguous(memory_format=torch.channels_last))

    times = time_in_turn(
        {
            "backbone, as it is trained: two passes, batch norms apart": plain,
            "backbone, folded, both images, in parts that fit the caches": lambda: step.actor._backbone(both),
            "step on images": lambda: step(batch),
            "step on cached features": lambda: step(cached),
        },
        step.device,
        repeats=2 if quick else 7,
        warmup=1,
    )
    table = Table(f"With and without: {BATCH} pairs, {where(step.device)}", ["what", "ms", "pairs/s"])
    for name, timing in times.items():
        cells = [name, milliseconds(timing.median), f"{BATCH / timing.median:.2f}"]
        table.add(cells, what=name, **vars(timing))
    return table


def _whole(step: _Step, data: BoxPairs, what: str, quick: bool) -> Table:
    seconds, waited = defaultdict(list), defaultdict(list)
    for done, (_, workers) in enumerate(itertools.product(range(1 if quick else 4), (0, 1, 2))):
        if done >= 3 and budget.up():
            break
        with contextlib.closing(_batches(data, workers)) as loaded:
            step(step.batch(next(loaded)))
            for _ in range(2 if quick else 4):
                start = time.perf_counter()
                batch = next(loaded)
                waited[workers].append(time.perf_counter() - start)
                step(step.batch(batch))
                step.synchronise()
                seconds[workers].append(time.perf_counter() - start)
    table = Table(
        f"Training, {where(step.device)}: {what}",
        ["loader processes", "pairs/s", "images/s", "of it waiting for data"],
    )
    for workers, values in seconds.items():
        timing = summarise(values)
        rate, share = BATCH / timing.median, sum(waited[workers]) / sum(values)
        cells = [str(workers), f"{rate:.2f}", f"{2 * rate:.2f}", f"{share:.0%}"]
        table.add(cells, workers=workers, waiting=share, **vars(timing))
    return table


# --- small things


class _Parts:
    """Time inside named functions, less the time of named functions that they call.

    Args:
        functions: (class or module, name of the function there, name of the part).
        rest: the part of what is measured but in none of them.
        wait: called before the clock is read.
    """

    def __init__(self, functions: list[tuple[Any, str, str]], rest: str, wait: Callable[[], None] = lambda: None):
        self._functions, self._rest, self._wait = functions, rest, wait
        self._stack: list[str] = []
        self._seconds: list[dict[str, float]] = []
        self._open: dict[str, float] | None = None
        self._patches = contextlib.ExitStack()

    def __enter__(self) -> "_Parts":
        for owner, attribute, part in self._functions:
            inner = self._timed(getattr(owner, attribute), part)
            self._patches.enter_context(mock.patch.object(owner, attribute, inner))
        return self

    def __exit__(self, *error: object) -> None:
        self._patches.close()

    def measure(self, function: Callable[[], Any]) -> None:
        """Call the function once, and keep the times of its parts."""
        self._open = defaultdict(float)
        self._timed(function, self._rest)()
        self._seconds.append(self._open)
        self._open = None

    def clear(self) -> None:
        self._seconds = []

    def mean(self, part: str, average: Callable[[list[float]], float] = statistics.mean) -> float:
        """Seconds of a part in one measured call."""
        return average([seconds[part] for seconds in self._seconds])

    def total(self, average: Callable[[list[float]], float] = statistics.mean) -> float:
        return average([sum(seconds.values()) for seconds in self._seconds])

    def _timed(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if self._open is None:
                return function(*args, **kwargs)
            self._switch(part, enter=True)
            try:
                return function(*args, **kwargs)
            finally:
                self._switch(part, enter=False)

        return wrapper

    def _switch(self, part: str, enter: bool) -> None:
        self._wait()
        now = time.perf_counter()
        if self._stack:
            self._open[self._stack[-1]] += now - self._since
        if enter:
            self._stack.append(part)
        else:
            self._stack.pop()
        self._since = time.perf_counter()


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    threads, opencv = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        cv2.setNumThreads(opencv)


def _made_sets(folder: Path) -> dict[str, ImageFolder]:
    """Stills of each kind, ten targets in each."""
    random, sets = np.random.default_rng(0), {}
    for number, (name, (size, sides)) in enumerate(MADE.items()):
        place = folder / str(number)
        place.mkdir()
        with open(place / "index.jsonl", "w") as index:
            for photo in TRAINING_PHOTOGRAPHS:
                image = cv2.resize(load_photograph(photo), size, interpolation=cv2.INTER_CUBIC)
                noise = random.integers(-3, 4, image.shape)  # the fine detail that an enlarged photograph lacks
                noisy = np.clip(image + noise, 0, 255).astype(np.uint8)
                data = cv2.imencode(".jpg", noisy[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
                (place / f"{photo}.jpg").write_bytes(data.tobytes())
                side = np.exp(random.uniform(*np.log(sides), (10, 2))).round(1)
                corner = (random.random((10, 2)) * np.maximum(np.array(size) - side, 1)).round(1)
                boxes = np.concatenate([corner, side], axis=1).tolist()
                index.write(json.dumps({"file": f"{photo}.jpg", "set": "made", "boxes": boxes}) + "\n")
        sets[name] = ImageFolder(place)
    return sets
