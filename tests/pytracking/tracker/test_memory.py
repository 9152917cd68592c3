"""The classifier's memory: how much each sample counts, and which one makes room."""

import pytest
import torch

from pytracking.tracker.atom.memory import SampleMemory


def sample(value: float) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.full((2, 3, 3), value), torch.full((3, 3), -value)


def new_memory(first: int = 3, size: int = 10, first_weight: float = 0.25) -> SampleMemory:
    values = torch.arange(first) - 100.0
    features, labels = values[:, None, None, None].expand(-1, 2, 3, 3), -values[:, None, None].expand(-1, 3, 3)
    return SampleMemory(features, labels, size, first_weight)


def values(memory: SampleMemory) -> list[float]:
    features, labels, _ = memory.contents()
    assert torch.equal(features[:, 0, 0, 0], -labels[:, 0, 0])
    return features[:, 0, 0, 0].tolist()


def test_the_first_frame_shares_all_the_weight_at_the_start():
    memory = new_memory()
    assert values(memory) == [-100, -99, -98]
    torch.testing.assert_close(memory.contents()[2], torch.full((3,), 1 / 3))


def test_weights_sum_to_one_and_the_first_frame_keeps_its_share_through_any_number_of_frames():
    memory = new_memory()
    for k in range(40):
        memory.add(*sample(k), 0.3 if k % 7 == 0 else 0.1)
        weights = memory.contents()[2]
        assert float(weights.sum()) == pytest.approx(1, abs=1e-5)
        assert float(weights[:3].sum()) >= 0.25 - 1e-5
        assert float(weights[:3].std()) < 1e-6
    assert float(weights[:3].sum()) == pytest.approx(0.25, abs=1e-5)


def test_the_first_new_sample_weighs_the_learning_rate():
    memory = new_memory()
    memory.add(*sample(1), 0.1)
    assert float(memory.contents()[2][3]) == pytest.approx(0.1)


def test_older_samples_decay_exponentially():
    memory = new_memory(size=20)
    for k in range(8):
        memory.add(*sample(k), 0.1)
    later = memory.contents()[2][3:]
    torch.testing.assert_close(later[:-1] / later[1:], torch.full((7,), 0.9))


def test_a_full_memory_replaces_the_sample_of_least_weight_and_never_one_of_the_first_frame():
    memory = new_memory(size=6)
    for k in range(3):
        memory.add(*sample(k), 0.1)
    assert values(memory) == [-100, -99, -98, 0, 1, 2]
    memory.add(*sample(3), 0.1)
    assert values(memory) == [-100, -99, -98, 3, 1, 2]
    for k in range(4, 30):
        memory.add(*sample(k), 0.1)
    assert values(memory)[:3] == [-100, -99, -98]
    assert sorted(values(memory)[3:]) == [27, 28, 29]


def test_a_first_frame_that_fills_the_memory_leaves_room_for_one_more():
    memory = new_memory(first=4, size=2)
    memory.add(*sample(1), 0.1)
    memory.add(*sample(2), 0.1)
    assert values(memory) == [-100, -99, -98, -97, 2]


def test_what_is_stored_is_a_copy():
    memory = new_memory()
    features, label = sample(5)
    memory.add(features, label, 0.1)
    features.zero_()
    assert values(memory)[-1] == 5
