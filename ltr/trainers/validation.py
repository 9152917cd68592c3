"""Statistics over a validation set, each sample counted once."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric
from torch.utils.data import Dataset

from ltr.common.progress import progress_bar
from ltr.common.seeds import VALIDATION_STREAM, seed_everything
from ltr.common.settings import TrainSettings
from ltr.data.loading import load_batches
from ltr.trainers.log import Averages
from ltr.trainers.numbering import validation_batches
from ltr.trainers.signals import StopSignal
from ltr.trainers.task import Task


def validate(
    fabric: Fabric, task: Task, data: Dataset, settings: TrainSettings, stop: StopSignal
) -> dict[str, float] | None:
    """Means of the statistics of a task's actor over its validation set `data`.

    The actor is in evaluation mode afterwards.

    Returns:
        The means by name; None if a signal interrupted the validation of a single process.
    """
    world = fabric.world_size
    if world > 1:  # batch-norm statistics differ between processes; those of the first are the ones saved
        for buffer in task.actor.buffers():
            torch.distributed.broadcast(buffer, src=0)
    task.actor.eval()
    averages = Averages()
    numbers = validation_batches(settings, world, fabric.global_rank, len(data))  # type: ignore[arg-type]
    bar = progress_bar(len(numbers), "validation", "batch", leave=False, show=fabric.is_global_zero)
    loading = load_batches(data, numbers, settings.workers, task.collate, fabric.device.type == "cuda")
    # The actor itself and not its wrapper: processes may have different numbers of batches, so nothing here may wait
    # for the others. no_grad and not inference_mode: an actor may refine, for which it turns gradients on.
    with bar, torch.no_grad(), fabric.autocast(), loading as batches:
        for own, batch in zip(numbers, batches, strict=True):
            seed_everything(settings.seed, VALIDATION_STREAM, own[0])
            loss, stats = task.actor(fabric.to_device(batch))
            means = {name: float(value) for name, value in {**stats, "loss": loss}.items()}
            averages.add(means, weight=len(own))
            bar.update()
            if stop.number is not None and world == 1:
                return None
    return (_gathered(averages, fabric) if world > 1 else averages).means()


def _gathered(averages: Averages, fabric: Fabric) -> Averages:
    """The averages over all processes."""
    # a process that had no sample has no names either: they come from the first, which has one
    names = fabric.broadcast(sorted(averages.sums), src=0)
    rows = [averages.sums.get(name, [0.0, 0.0]) for name in names]
    table = fabric.all_reduce(torch.tensor(rows, dtype=torch.float64, device=fabric.device), reduce_op="sum")
    assert isinstance(table, torch.Tensor)  # as what it was given
    return Averages(dict(zip(names, table.tolist(), strict=True)))
