"""The graphs of a tracker's network as files, ONNX or torch.export programs (.pt2), which are checked first."""

import io
import json
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from ltr.common.errors import UserError
from ltr.common.files import make_writable, write_bytes, writing
from ltr.common.provenance import package_version
from ltr.models.backbone import STRIDES
from ltr.models.bbreg.atom import AtomNet
from ltr.models.bbreg.graphs import IMAGE, Graph, make_graphs

OPSET = 18
"""Of ONNX: the oldest that PyTorch exports without converting; read since ONNX Runtime 1.14 and OpenVINO 2023."""
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
_LIMIT = 1e-4  # of differences, relative to the largest value; they are about 1e-6


def write_graphs(net: AtomNet, source: str, folder: Path, formats: list[str]) -> Iterator[str]:
    """Exports a network's graphs into `folder`, which is made where it is missing.

    Args:
        net: on the CPU, in evaluation mode.
        source: the name of the network's file, for the description in each file.
        folder: where backbone.onnx, backbone.pt2 and so on are written.
        formats: 'onnx', 'pt2' or both.

    Yields:
        A line for each file that was written.

    Raises:
        UserError: if the packages for ONNX are missing, a file cannot be written, or a graph does not compute what the
            network computes.
    """
    missing = [name for name in PACKAGES if "onnx" in formats and find_spec(name) is None]
    if missing:
        raise UserError(
            f"ONNX files need the package {missing[0]}, which is not installed: pip install 'ebm-regression[onnx]'"
        )
    with writing(folder, "name another folder"):
        make_writable(folder)
    about = describe(net, source)
    for name, graph in make_graphs(net, net.feature_extractor.classification_layer()).items():
        with _quiet():
            program = torch.export.export(graph.module, (), graph.inputs, dynamic_shapes=graph.dynamic)
        for suffix in formats:
            file = folder / f"{name}.{suffix}"
            content = (_onnx if suffix == "onnx" else _pt2)(name, graph, program, {**about, "graph": name})
            difference = _largest_difference(graph, _run_onnx if suffix == "onnx" else _run_pt2, content)
            if not difference < _LIMIT:
                raise UserError(
                    f"{file} was not written: it would differ from the network by {difference:.1e} of the largest value"
                )
            with writing(file, "name another folder"):
                write_bytes(file, content)
            yield f"{file}: {len(content) / 1e6:.1f} MB, differs from PyTorch by {difference:.0e} of the largest value"


def describe(net: AtomNet, source: str) -> dict[str, str]:
    """What a user of the graphs has to know, as text by name; every file holds it."""
    extractor = net.feature_extractor
    return {
        "format": "ebm-regression graph",
        "version": package_version(),
        "source": source,
        "backbone": net.config.backbone,
        "image_size": str(IMAGE),
        "image_format": "uint8 RGB (B, H, W, 3); the graph normalises it",
        "mean": json.dumps(extractor.mean.flatten().tolist()),  # of pixels in [0, 1]
        "std": json.dumps(extractor.std.flatten().tolist()),
        "strides": json.dumps(STRIDES),
        "first_cell": json.dumps(extractor.first_cell),
    }


def _onnx(name: str, graph: Graph, program: torch.export.ExportedProgram, about: dict[str, str]) -> bytes:
    import onnx

    names: dict[str, Any] = {"input_names": [*graph.inputs], "output_names": graph.outputs}
    with _quiet():
        exported = torch.onnx.export(program, **names, dynamo=True, opset_version=OPSET, verbose=False)
    assert exported is not None
    model = exported.model_proto
    model.graph.name = name
    del model.graph.value_info[:]  # of what is between inputs and outputs, in symbols that mean nothing to others
    symbols = {}
    for value in model.graph.input:
        for dimension, axis in graph.dynamic[value.name].items():
            symbols[value.type.tensor_type.shape.dim[dimension].dim_param] = axis.__name__
    for value in [*model.graph.input, *model.graph.output]:
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_param = re.sub(r"\w+", lambda symbol: symbols.get(symbol[0], symbol[0]), size.dim_param)
    onnx.helper.set_model_props(model, about)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _pt2(name: str, graph: Graph, program: torch.export.ExportedProgram, about: dict[str, str]) -> bytes:
    file = io.BytesIO()
    with _quiet():
        torch.export.save(program, file, extra_files=dict(about))
    return file.getvalue()


def _run_onnx(content: bytes, inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return [torch.from_numpy(out) for out in session.run(None, {name: t.numpy() for name, t in inputs.items()})]


def _run_pt2(content: bytes, inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    return list(torch.export.load(io.BytesIO(content)).module()(**inputs))


def _largest_difference(graph: Graph, run: Any, content: bytes) -> float:
    """Of a file's outputs from the module's, relative to the largest value, on one image and one box."""
    inputs = {name: tensor[:1] for name, tensor in graph.inputs.items()}
    inputs.update({"y": inputs["y"][:, :1]} if "y" in inputs else {})
    pairs = zip(run(content, inputs), graph.module(**inputs), strict=True)
    return max(float((found - expected).abs().max() / expected.abs().max()) for found, expected in pairs)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' remarks on themselves."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
