"""Which samples make which batch: each once, however many processes and parts share them."""

from itertools import chain, product

import pytest

from ltr.common.settings import TrainSettings
from ltr.trainers.numbering import parts_of_step, size_of_step, train_batches, validation_batches


@pytest.mark.parametrize("world, accumulate, samples", list(product([1, 2, 5], [1, 2, 3], [30, 31, 44])))
def test_processes_and_parts_share_each_step_without_rest(world, accumulate, samples):
    settings = TrainSettings(
        epochs=2, samples_per_epoch=samples, batch_size=15, accumulate=accumulate, drop_last=False, seed=1
    )
    seen = []
    for step in range(2 * settings.steps_per_epoch):
        shared = [parts_of_step(settings, world, rank, step) for rank in range(world)]
        used = [part for parts in shared for part in parts if part.share]
        numbers = sorted(chain.from_iterable(part.numbers for part in used))
        assert numbers == sorted(chain.from_iterable(p.numbers for p in parts_of_step(settings, 1, 0, step)))
        assert [part.share for part in used] == pytest.approx([len(part.numbers) / len(numbers) for part in used])
        assert size_of_step(settings, step) == len(numbers)
        assert all(part.numbers for parts in shared for part in parts)
        sizes = [len(part.numbers) for part in used]
        assert max(sizes) - min(sizes) <= 1 or len(numbers) < 15
        seen += numbers
    assert seen == list(range(2 * samples))
    for rank in range(world):
        late = list(train_batches(settings, world, rank, first_step=3))
        assert list(train_batches(settings, world, rank, 0))[-len(late) :] == late


def test_the_last_incomplete_batch_is_dropped_on_request():
    settings = TrainSettings(epochs=2, samples_per_epoch=20, batch_size=8)
    assert list(chain.from_iterable(train_batches(settings, 1, 0, 0))) == [*range(16), *range(20, 36)]


@pytest.mark.parametrize("world, samples", list(product([1, 2, 3, 7], [1, 2, 20, 21])))
def test_validation_has_each_sample_once(world, samples):
    settings = TrainSettings(batch_size=8, accumulate=2)
    batches = [validation_batches(settings, world, rank, samples) for rank in range(world)]
    assert sorted(chain.from_iterable(chain.from_iterable(batches))) == list(range(samples))
    counts = [len(own) for own in batches]
    assert counts[-1] == min(counts)
