"""The networks of a tracked frame on a CPU by several engines, in turn: ours, plain PyTorch, ONNX Runtime, OpenVINO.

A frame is the backbone with its classification layer, the box head's convolutions and ten steps of ten boxes on the
energy. ONNX Runtime and OpenVINO run the graphs of ebm-export-network; those that are not installed are left out.
"""

import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from benchmarks.timing import Table, milliseconds, time_in_turn, where
from ltr.models.bbreg import BoxFeatures, FrozenBoxNet, load_atom_net
from ltr.models.bbreg.graph_files import PACKAGES, write_graphs
from ltr.models.bbreg.graphs import make_graphs
from pytracking.factory import tracker_settings
from pytracking.tracker.atom.network import tracker_network
from pytracking.tracker.network_files import network_file

NETWORK, STEPS = "ebm_efficientnet_lite0.safetensors", 10
Run = Callable[[dict[str, np.ndarray]], list[np.ndarray]]


class Engine(NamedTuple):
    """What is timed: the convolutions of a frame, and one step of ten boxes on the energy."""

    convolutions: Callable[[], Any]
    step: Callable[[], Any]


def run(device: str, quick: bool) -> Iterator[Table]:
    if torch.device(device).type != "cpu":
        return
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        engines = _engines(Path(folder))
        calls = {(name, part): getattr(engine, part) for name, engine in engines.items() for part in Engine._fields}
        seconds = time_in_turn({" ".join(key): call for key, call in calls.items()}, repeats=3 if quick else 25)
    frame = {name: seconds[f"{name} convolutions"].median + STEPS * seconds[f"{name} step"].median for name in engines}
    table = Table(
        f"The networks of a frame by engine: {where(device)}",
        ["engine", "convolutions, ms", "a step of 10 boxes, ms", "together, ms", "of ours"],
    )
    for name, whole in frame.items():
        parts = {part: seconds[f"{name} {part}"] for part in Engine._fields}
        table.add(
            [name, *(milliseconds(t.median) for t in parts.values()), milliseconds(whole),
             f"{whole / frame['ours']:.2f}"],
            engine=name, **parts, together=whole,
        )  # fmt: skip
    table.notes.append(f"together: the convolutions and {STEPS} steps; medians of measurements in turn")
    absent = [name for name in ("onnxruntime", "openvino") if find_spec(name) is None]
    table.notes += [f"not installed: {', '.join(absent)}"] if absent else []
    yield table


def _engines(folder: Path) -> dict[str, Engine]:
    net = load_atom_net(network_file(NETWORK))
    classification = net.feature_extractor.classification_layer()
    graphs = make_graphs(net, classification)
    one = {name: {k: v[:1] for k, v in graph.inputs.items()} for name, graph in graphs.items()}
    one["energy"]["y"] = one["energy"]["y"][:, :1].repeat(1, 10, 1)
    engines = {"ours": _ours(one), "PyTorch": _modules({name: graph.module for name, graph in graphs.items()}, one)}
    if any(find_spec(name) is None for name in PACKAGES):
        return engines
    list(write_graphs(net, NETWORK, folder, ["onnx"]))
    engines["ONNX Runtime"] = _files(folder, one, _onnx_runtime)
    if find_spec("openvino") is not None:
        for name, precision in (("OpenVINO", "f32"), ("OpenVINO, bfloat16", "bf16")):
            engines[name] = _files(folder, one, lambda *a, precision=precision: _openvino(*a, precision))
    return engines


def _ours(inputs: dict[str, dict[str, torch.Tensor]]) -> Engine:
    network = tracker_network(tracker_settings("atom", "ebm", ()), torch.device("cpu"))
    head: FrozenBoxNet = network.head
    image, size, y = inputs["backbone"]["images"].numpy(), inputs["energy"]["size"], inputs["energy"]["y"]
    modulation = head.modulation(network.features(image, True), inputs["modulation"]["box"])

    def convolutions() -> BoxFeatures:
        return head.encode(modulation, network.features(image, True), size)

    energy = head.relative_energy(convolutions())
    return Engine(convolutions, lambda: energy.value_and_grad(y))


def _modules(modules: dict[str, nn.Module], inputs: dict[str, dict[str, torch.Tensor]]) -> Engine:
    """The graphs as they are before the export."""
    backbone, encode = modules["backbone"], modules["encode"]
    modulation = {k: v for k, v in inputs["encode"].items() if k.startswith("modulation")}

    def convolutions() -> Any:
        stride8, stride16, _ = backbone(**inputs["backbone"])
        return encode(stride8, stride16, **modulation)

    return Engine(convolutions, lambda: modules["energy"](**inputs["energy"]))


def _files(
    folder: Path,
    inputs: dict[str, dict[str, torch.Tensor]],
    load: Callable[[Path, dict[str, np.ndarray]], Run],
) -> Engine:
    arrays = {name: {k: v.numpy() for k, v in tensors.items()} for name, tensors in inputs.items()}
    backbone, encode, energy = (load(folder / f"{n}.onnx", arrays[n]) for n in ("backbone", "encode", "energy"))
    modulation = {k: v for k, v in arrays["encode"].items() if k.startswith("modulation")}

    def convolutions() -> Any:
        stride8, stride16, _ = backbone(arrays["backbone"])
        return encode({"stride8": stride8, "stride16": stride16, **modulation})

    return Engine(convolutions, lambda: energy(arrays["energy"]))


def _onnx_runtime(file: Path, example: dict[str, np.ndarray]) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, inputs)


def _openvino(file: Path, example: dict[str, np.ndarray], precision: str) -> Run:
    import openvino

    core = openvino.Core()
    model = core.read_model(file)
    model.reshape({name: list(array.shape) for name, array in example.items()})
    hints = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": precision,
    }
    request = core.compile_model(model, "CPU", hints).create_infer_request()
    return lambda inputs: list(request.infer(inputs).values())
