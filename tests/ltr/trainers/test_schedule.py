"""The learning rate of every step."""

import pytest
import torch

from ltr.common.settings import ScheduleSettings, TrainSettings
from ltr.trainers.schedule import learning_rate


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.99])
def test_one_cycle_has_no_step_without_a_rate(warmup):
    cycle = ScheduleSettings(kind="one_cycle", warmup=warmup)
    settings = TrainSettings(epochs=1, samples_per_epoch=10, batch_size=1, schedule=cycle)
    assert all(0 < learning_rate(settings, step) <= 1e-3 for step in range(10))


@pytest.mark.parametrize("kind", ["step", "multistep", "one_cycle"])
def test_learning_rate_is_that_of_pytorch(kind):
    schedule = ScheduleSettings(kind=kind, step_size=15, milestones=(100, 300), warmup_steps=40, warmup=0.2)
    settings = TrainSettings(epochs=50, samples_per_epoch=70, batch_size=10, schedule=schedule)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1e-3)
    lr_scheduler = torch.optim.lr_scheduler
    if kind == "step":
        schedule = lr_scheduler.StepLR(optimizer, 15 * 7, 0.2)
    elif kind == "multistep":
        warmup = lr_scheduler.LinearLR(optimizer, 1 / 3, total_iters=40)
        schedule = lr_scheduler.ChainedScheduler([warmup, lr_scheduler.MultiStepLR(optimizer, [100, 300], 0.2)])
    else:
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 1e-3, total_steps=350, pct_start=0.2, cycle_momentum=False
        )
    for step in range(350):
        assert learning_rate(settings, step) == pytest.approx(schedule.get_last_lr()[0], rel=1e-9), step
        optimizer.step()
        if step < 349:
            schedule.step()
