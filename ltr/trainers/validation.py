"""Statistics over a validation set, each sample counted once."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric
from torch.utils.data import Dataset

from ltr.common.errors import UserError
from ltr.common.progress import progress_bar
from ltr.common.seeds import VALIDATION_STREAM, seed_everything
from ltr.common.settings import TrainSettings
from ltr.data.loading import load_batches
from ltr.trainers.log import Averages
from ltr.trainers.numbering import validation_batches
from ltr.trainers.processes import Processes
from ltr.trainers.signals import StopSignal
from ltr.trainers.task import Task


def validate(
    fabric: Fabric, processes: Processes, task: Task, data: Dataset, settings: TrainSettings, stop: StopSignal
) -> tuple[dict[str, float] | None, int | None]:
    """Means of the statistics of a task's actor over its validation set `data`.

    The actor is in evaluation mode afterwards.

    Returns:
        The means by name, and no signal; or none, and the signal that interrupted the validation.

    Raises:
        UserError: if a process cannot read a sample, or cannot be reached.
    """
    processes.share_buffers(task.actor)  # statistics of batch normalisation: those of the first are the ones saved
    task.actor.eval()
    averages = Averages()
    length: int = len(data)  # type: ignore[arg-type]
    numbers = validation_batches(settings, processes.world, processes.rank, length)
    rounds = len(validation_batches(settings, processes.world, 0, length))  # the others have as many, or one less
    bar = progress_bar(len(numbers), "validation", "batch", leave=False, show=processes.is_first)
    loading = load_batches(data, numbers, settings.workers, task.collate, fabric.device.type == "cuda")
    # The actor itself and not its wrapper, which would wait for the others in every batch. no_grad and not
    # inference_mode: an actor may refine, for which it turns gradients on.
    with bar, torch.no_grad(), fabric.autocast(), loading as batches:
        for k in range(rounds):
            batch, problem = None, None
            try:
                batch = next(batches) if k < len(numbers) else None
            except UserError as error:
                problem = error
            call = processes.roll_call(stop.number, error=problem)
            if call.stop is not None:
                return None, call.stop
            if batch is None:
                continue
            own = numbers[k]
            seed_everything(settings.seed, VALIDATION_STREAM, own[0])
            loss, stats = task.actor(fabric.to_device(batch))
            means = {name: float(value) for name, value in {**stats, "loss": loss}.items()}
            averages.add(means, weight=len(own))
            bar.update()
    return _over_all(averages, processes).means(), None


def _over_all(averages: Averages, processes: Processes) -> Averages:
    """The averages over all processes."""
    if processes.world == 1:
        return averages
    # a process that had no sample has no names either: they come from the first, which has one
    names = processes.send(sorted(averages.sums))
    rows = [averages.sums.get(name, [0.0, 0.0]) for name in names]
    table = processes.sum(torch.tensor(rows, dtype=torch.float64))
    return Averages(dict(zip(names, table.tolist(), strict=True)))
