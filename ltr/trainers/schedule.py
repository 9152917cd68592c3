"""The optimiser, and its learning rate as a function of the step alone."""

from __future__ import annotations

import math

import torch

from ltr.common.settings import OptimizerSettings, TrainSettings


def learning_rate(settings: TrainSettings, step: int) -> float:
    """Learning rate of optimiser step `step`, counted from 0 over the whole training.

    * step: lr * gamma^(epoch // step_size) (Appendix D.1).
    * multistep: lr * gamma^(milestones reached), times a factor that rises linearly from 1/3 to 1 over the first
      `warmup_steps` (Appendix C.2).
    * one_cycle: half a cosine from lr/25 up to lr over the first `warmup` of all steps, then one down to lr/250000 at
      the last step; this is torch.optim.lr_scheduler.OneCycleLR without its cycle of momentum.
    """
    lr, schedule = settings.optimizer.lr, settings.schedule
    per_epoch = settings.steps_per_epoch
    if schedule.kind == "step":
        return lr * schedule.gamma ** (step // per_epoch // schedule.step_size)
    if schedule.kind == "multistep":
        warm = min(step / schedule.warmup_steps, 1) if schedule.warmup_steps else 1
        return lr * (1 + 2 * warm) / 3 * schedule.gamma ** sum(step >= milestone for milestone in schedule.milestones)
    low, lowest, last = lr / 25, lr / 25e4, settings.epochs * per_epoch - 1
    top = schedule.warmup * (last + 1) - 1
    if step < top:
        start, end, fraction = low, lr, step / top
    else:
        start, end, fraction = lr, lowest, (step - top) / (last - top)
    return end + (start - end) / 2 * (1 + math.cos(math.pi * fraction))


def make_optimizer(settings: OptimizerSettings, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser of the settings; the trainer sets its rate before every step."""
    if settings.kind == "sgd":
        return torch.optim.SGD(
            parameters, lr=settings.lr, weight_decay=settings.weight_decay, momentum=settings.momentum
        )
    return torch.optim.Adam(parameters, lr=settings.lr, weight_decay=settings.weight_decay, betas=settings.betas)
