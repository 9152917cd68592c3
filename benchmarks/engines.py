"""A tracked frame on a CPU by several engines, in turn: ours, PyTorch, ONNX Runtime, OpenVINO.

Every row is the whole `atom ebm`, with one thread and with all cores; only what computes the backbone, its
classification layer, the box head's convolutions and the energy with its gradient is exchanged. ONNX Runtime and
OpenVINO run the graphs of ebm-export-network; those that are not installed are left out.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.frame import sequence_frames
from benchmarks.timing import Table, milliseconds, summarise
from ltr.common.provenance import usable_cores
from ltr.models.bbreg import BoxFeatures, load_atom_net
from ltr.models.bbreg.graph_files import PACKAGES, write_graphs
from ltr.models.bbreg.graphs import Graph, make_graphs
from pytracking.factory import tracker_settings
from pytracking.tracker.atom.atom import Atom
from pytracking.tracker.atom.network import TrackerNetwork
from pytracking.tracker.network_files import network_file

NETWORK, FRAMES, BOXES = "ebm_efficientnet_lite0.safetensors", 40, 10
Run = Callable[[dict[str, Tensor]], list[Tensor]]
Load = Callable[[str, int], Run]
"""Of a graph's name and a number of threads."""


def run(device: str, quick: bool) -> Iterator[Table]:
    if torch.device(device).type != "cpu":
        return
    name, frames, box = sequence_frames(12 if quick else FRAMES)
    before = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        engines = _engines(Path(folder), compiled=not quick)
        try:
            for threads in sorted({1, usable_cores()}):
                torch.set_num_threads(threads)
                title = f"`atom ebm` by engine: {name} ({len(frames)} frames), {threads} thread{'s' * (threads > 1)}"
                yield _table(title, engines, threads, frames, box, repeats=1 if quick else 3)
        finally:
            torch.set_num_threads(before)


class _Counted(NamedTuple):
    """Seconds of a sequence: all, those of the convolutions, those of the energy."""

    whole: float
    convolutions: float
    energy: float


def _table(
    title: str, engines: dict[str, Load | None], threads: int, frames: list[np.ndarray], box: np.ndarray, repeats: int
) -> Table:
    makers = {engine: _Engine(load, threads) for engine, load in engines.items()}
    seconds: dict[str, list[_Counted]] = {engine: [] for engine in makers}
    for repeat in range(-1, repeats):  # the first round warms up
        for engine, exchanged in makers.items():
            counted = exchanged.run(frames if repeat >= 0 else frames[:4], box)
            if repeat >= 0:
                seconds[engine].append(counted)
    table = Table(title, ["engine", "convolutions, ms", "refinement, ms", "frame, ms", "frames/s", "of ours"])
    ours = summarise([one.whole for one in seconds["ours"]]).median
    for engine, counted in seconds.items():
        timing = {part: summarise([getattr(one, part) for one in counted]) for part in _Counted._fields}
        whole = timing["whole"].median
        table.add(
            [engine, milliseconds(timing["convolutions"].median), milliseconds(timing["energy"].median),
             milliseconds(whole), f"{1 / whole:.1f}", f"{whole / ours:.2f}"],
            engine=engine, threads=threads, **timing,
        )  # fmt: skip
    table.notes.append(f"medians over {repeats} runs in turn of the mean over the frames")
    absent = [name for name in ("onnxruntime", "openvino") if find_spec(name) is None]
    table.notes += [f"not installed: {', '.join(absent)}"] if absent else []
    return table


class _Engine:
    """A tracker whose networks are an engine's; None for its own."""

    def __init__(self, load: Load | None, threads: int):
        self.tracker = Atom(tracker_settings("atom", "ebm", ()), "cpu")
        own = self.tracker.network
        self.spent = {"convolutions": 0.0, "energy": 0.0}
        head = own.head if load is None else _Head(load, threads)
        features = own.features if load is None else _Backbone(load, threads).features
        self.tracker.network = _Timed(own, features, head, self.spent)

    def run(self, frames: list[np.ndarray], box: np.ndarray) -> _Counted:
        self.tracker.initialize(frames[0], box)
        self.tracker.track(frames[1])
        self.spent.update(convolutions=0.0, energy=0.0)
        start = time.perf_counter()
        for frame in frames[2:]:
            self.tracker.track(frame)
        whole, count = time.perf_counter() - start, len(frames) - 2
        return _Counted(whole / count, self.spent["convolutions"] / count, self.spent["energy"] / count)


class _Timed:
    """The interface of :class:`TrackerNetwork` and of its box head, with the seconds that are spent."""

    def __init__(self, own: TrackerNetwork, features: Callable[..., Any], head: Any, spent: dict[str, float]):
        self.backbone, self.head = own.backbone, self
        self.modulation = head.modulation
        self.features = _watched(features, spent, "convolutions")
        self.encode = _watched(head.encode, spent, "convolutions")
        self._energies, self._spent = head.relative_energy, spent

    def relative_energy(self, features: BoxFeatures) -> Any:
        energy = self._energies(features)
        energy.value_and_grad = _watched(energy.value_and_grad, self._spent, "energy")
        return energy


def _watched(function: Callable[..., Any], spent: dict[str, float], part: str) -> Callable[..., Any]:
    def timed(*arguments: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            spent[part] += time.perf_counter() - start

    return timed


class _Backbone:
    def __init__(self, load: Load, threads: int):
        self.graph = load("backbone", threads)

    def features(self, patches: np.ndarray, classification: bool) -> dict[str, Tensor]:
        images = torch.from_numpy(patches).split(1)
        each = zip(*(self.graph({"images": image}) for image in images), strict=True)
        return dict(zip(("stride8", "stride16", "classification"), map(torch.cat, each), strict=True))


class _Head:
    def __init__(self, load: Load, threads: int):
        self.modulate, self.graph, self.energy = (load(name, threads) for name in ("modulation", "encode", "energy"))

    def modulation(self, reference: dict[str, Tensor], box: Tensor) -> Any:
        levels = {level: reference[level] for level in ("stride8", "stride16")}
        return tuple(self.modulate({**levels, "box": box}))

    def encode(self, modulation: Any, test: dict[str, Tensor], size: Tensor) -> BoxFeatures:
        levels = {level: test[level] for level in ("stride8", "stride16")}
        return BoxFeatures(*self.graph({**levels, "modulation8": modulation[0], "modulation16": modulation[1]}), size)

    def relative_energy(self, features: BoxFeatures) -> Any:
        return _Energy(self.energy, features)


class _Energy:
    def __init__(self, graph: Run, features: BoxFeatures):
        self.graph = graph
        self.inputs = {"map8": features.stride8, "map16": features.stride16, "size": features.size}

    def value_and_grad(self, y: Tensor) -> list[Tensor]:
        return self.graph({**self.inputs, "y": y})


def _engines(folder: Path, compiled: bool) -> dict[str, Load | None]:
    net = load_atom_net(network_file(NETWORK))
    graphs = make_graphs(net, net.feature_extractor.classification_layer())
    engines: dict[str, Load | None] = {
        "ours": None,
        "PyTorch": lambda name, threads: _module(graphs[name], threads),
        "PyTorch, bfloat16": lambda name, threads: _module(graphs[name], threads, half=name in ("backbone", "encode")),
    }
    if compiled:
        engines["torch.compile"] = lambda name, threads: _module(graphs[name], threads, compiled=True)
    if any(find_spec(name) is None for name in PACKAGES):
        return engines
    list(write_graphs(net, NETWORK, folder, ["onnx"]))
    engines["ONNX Runtime"] = lambda name, threads: _onnx_runtime(folder / f"{name}.onnx", threads)
    if find_spec("openvino") is not None:
        for title, precision in (("OpenVINO", "f32"), ("OpenVINO, bfloat16", "bf16")):
            engines[title] = lambda name, threads, precision=precision: _openvino(
                folder / f"{name}.onnx", graphs[name], threads, precision
            )
    return engines


def _module(graph: Graph, threads: int, half: bool = False, compiled: bool = False) -> Run:
    """The graph as it is before the export, with all threads, of which a tracker lets PyTorch have one."""
    module = torch.compile(graph.module) if compiled else graph.module

    def call(inputs: dict[str, Tensor]) -> list[Tensor]:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                return [output.float() for output in module(**inputs)]
        finally:
            torch.set_num_threads(before)

    return call


def _onnx_runtime(file: Path, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda inputs: [
        torch.from_numpy(output) for output in session.run(None, {k: v.numpy() for k, v in inputs.items()})
    ]


def _openvino(file: Path, graph: Graph, threads: int, precision: str) -> Run:
    import openvino

    core = openvino.Core()
    model = core.read_model(file)
    shapes = {name: [1, *example.shape[1:]] for name, example in graph.inputs.items()}
    if "y" in shapes:
        shapes["y"] = [1, BOXES, 4]
    model.reshape(shapes)
    hints = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": precision,
    }
    request = core.compile_model(model, "CPU", hints).create_infer_request()
    return lambda inputs: [
        torch.from_numpy(output.copy()) for output in request.infer({k: v.numpy() for k, v in inputs.items()}).values()
    ]
