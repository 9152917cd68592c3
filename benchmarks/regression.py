"""Age and head pose: what the energies of M candidates cost, factored and in the paper's plain form.

Three forms compute the same: the plain one, whose first layer sees [g_x; g_y] for every candidate; the factored one by
PyTorch's own operations; and the factored one in parts, which is used. A step is energies, loss, gradients and Adam.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from unittest import mock

import torch
from torch import Tensor, nn

from benchmarks.timing import Table, milliseconds, peak_of_first_step, time_in_turn, where
from ltr.actors.regression import EnergyActor, EnergyLossSettings
from ltr.models.regression.heads import EnergyNet
from ltr.models.regression.image_encoder import CHANNELS, EncoderSettings, ImageEncoder
from ltr.models.regression.joint_energy import JointEnergy

ENCODERS = ("resnet50", "efficientnet_lite0")
FORMS = ("plain", "factored, whole", "factored, in parts")
BATCH, CANDIDATES, SIDE = 32, 1024, 200


def run(device: str, quick: bool) -> Iterator[Callable[[], Table]]:
    batch, candidates = (4, 64) if quick else (BATCH, CANDIDATES)
    for name in ENCODERS:
        yield partial(_heads, name, batch, candidates, device, quick)
    yield partial(_training, batch, candidates, device, quick)


def _heads(encoder: str, batch: int, candidates: int, device: str, quick: bool) -> Table:
    """The head alone: its features are given."""
    channels = CHANNELS[encoder]
    table = Table(
        f"A step of the energy's head: {batch} images, M = {candidates}, C = {channels} ({encoder}), {where(device)}",
        ["form", "ms", "ratio", "peak memory, MiB"],
    )
    steps = {form: _head_step(form, channels, batch, candidates, device) for form in FORMS}
    times = time_in_turn(steps, device, repeats=2 if quick else 5, warmup=1)
    del steps
    for form, timing in times.items():
        small, whole = ([form, channels, b, m, device] for b, m in ((1, 2), (batch, candidates)))
        peak = peak_of_first_step(_head_step, small, whole, device)
        ratio = times["plain"].median / timing.median
        cells = [form, milliseconds(timing.median), f"{ratio:.1f}", "-" if peak is None else f"{peak / 2**20:.0f}"]
        table.add(cells, form=form, encoder=encoder, ratio=ratio, peak_bytes=peak, **vars(timing))
    table.notes.append("peak memory: of a first step with gradients and the optimiser's state, in a process of its own")
    return table


def _head_step(form: str, channels: int, batch: int, candidates: int, device: str) -> Callable[[], None]:
    torch.manual_seed(0)
    head = JointEnergy(channels, 1).to(device)
    actor = EnergyActor(_Head(head), EnergyLossSettings(num_samples=candidates, sigmas=(0.1, 20.0)))
    given = {
        "x": torch.randn(batch, channels, device=device),
        "label": 20 + 40 * torch.rand(batch, 1, device=device),
    }
    return _step(actor, given, form)


class _Head(nn.Module):
    """A head on given features, as a network."""

    def __init__(self, head: JointEnergy) -> None:
        super().__init__()
        self.head = head

    def encode(self, x: Tensor) -> Tensor:
        return self.head.encode(x)

    def energy(self, features: Tensor, y: Tensor) -> Tensor:
        return self.head.energy(features, y)


def _step(actor: EnergyActor, batch: dict[str, Tensor], form: str) -> Callable[[], None]:
    optimizer = torch.optim.Adam(actor.trainable_parameters(), lr=1e-5)

    def step() -> None:
        with _as(form):
            loss, _ = actor(batch)
            loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


@contextlib.contextmanager
def _as(form: str) -> Iterator[None]:
    """Let all heads compute in that form."""
    with contextlib.ExitStack() as stack:
        if form == "plain":
            stack.enter_context(mock.patch.object(JointEnergy, "encode", lambda self, g_x: g_x))
            stack.enter_context(mock.patch.object(JointEnergy, "energy", JointEnergy.plain_energy))
        elif form == "factored, whole":
            stack.enter_context(mock.patch.object(JointEnergy, "energy", _whole_energy))
        yield


def _whole_energy(self: JointEnergy, a_x: Tensor, y: Tensor) -> Tensor:
    hidden = nn.functional.linear(self.candidate(y), self.joint.weight[:, self.channels :]) + a_x[:, None]
    return self.score(torch.relu(hidden))[..., 0]


def _training(batch: int, candidates: int, device: str, quick: bool) -> Table:
    """Whole steps on images, the encoder trained as in the paper or frozen with its features at hand."""
    side = 64 if quick else SIDE
    table = Table(
        f"Training, images/s: {side} x {side}, batch {batch}, M = {candidates}, {where(device)}",
        ["encoder", *FORMS],
    )
    label = 20 + 40 * torch.rand(batch, 1, device=device)
    images = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8, device=device)
    encoders = list(itertools.product(ENCODERS, ("trained", "frozen, features at hand")))
    for name, how in table.within_budget(encoders, ", ".join):
        torch.manual_seed(0)
        encoder = ImageEncoder(EncoderSettings(name, imagenet=False, frozen_copies=int(how != "trained")))
        net = EnergyNet(encoder, 1).to(device).train()
        actor = EnergyActor(net, EnergyLossSettings(num_samples=candidates, sigmas=(0.1, 20.0)))
        x = images if how == "trained" else torch.randn(batch, encoder.channels, device=device)
        steps = {form: _step(actor, {"x": x, "label": label}, form) for form in FORMS}
        times = time_in_turn(steps, device, repeats=2 if quick else 3, warmup=1)
        rates = {form: batch / timing.median for form, timing in times.items()}
        what = f"{name}, {how}"
        table.add([what, *(f"{rate:.1f}" for rate in rates.values())], encoder=what, images_per_second=rates)
    return table
