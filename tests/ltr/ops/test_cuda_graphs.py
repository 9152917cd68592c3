"""Captured functions: by a stand-in for CUDA graphs on the CPU, and on a GPU."""

import threading

import pytest
import torch

from ltr.ops import cuda_graphs
from ltr.ops.cuda_graphs import MOST, OFTEN, Captured
from tests.helpers.standin_graphs import StandIn


@pytest.fixture
def standin(monkeypatch):
    recorder = StandIn()
    monkeypatch.setattr(cuda_graphs, "recorder_of", lambda device: recorder)
    return recorder


def scale_and_add(x, y, factor=2.0):
    return factor * x + y, x - y


def numbers(count=5, **options):
    return [(torch.randn(3, 4, **options), torch.randn(3, 4, **options)) for _ in range(count)]


def assert_results(captured, pairs, **constants):
    """Of each pair, in memory that no later call touches."""
    results = [captured(*pair, **constants) for pair in pairs]
    for pair, result in zip(pairs, results, strict=True):
        for found, expected in zip(result, captured.function(*pair, **constants), strict=True):
            assert torch.equal(found, expected)


def test_a_graph_gives_what_the_function_gives_and_its_results_stay(standin):
    captured = Captured(scale_and_add)
    assert_results(captured, numbers(OFTEN + 3))
    assert (standin.recorded, standin.replayed) == (1, 1 + 3)


def test_rare_shapes_are_called_as_they_are(standin):
    captured = Captured(scale_and_add)
    for size in range(1, 30):
        captured(torch.ones(size), torch.ones(size))
    assert standin.recorded == 0


def test_large_arguments_are_not_held_by_a_graph(standin, monkeypatch):
    captured = Captured(scale_and_add)
    monkeypatch.setattr(cuda_graphs, "LARGEST", 2 * 3 * 4 * 4)
    assert_results(captured, numbers(OFTEN + 1))
    assert standin.recorded == 1
    monkeypatch.setattr(cuda_graphs, "LARGEST", 2 * 3 * 4 * 4 - 1)
    assert_results(captured, numbers(OFTEN + 1, dtype=torch.float64))
    assert standin.recorded == 1


def test_shapes_strides_dtypes_and_constants_have_graphs_of_their_own(standin):
    captured = Captured(scale_and_add)
    square = torch.randn(4, 4)
    for pair in ((square, square), (square.t(), square), (square.double(), square), (square[:2], square[:2])):
        for factor in (2.0, 3.0):
            assert_results(captured, [pair] * (OFTEN + 1), factor=factor)
    assert standin.recorded == 8


def test_a_tensor_among_the_constants_is_read_anew_and_counts_as_itself(standin):
    captured = Captured(lambda x, weight: (weight * x,))
    weight, x = torch.ones(3), torch.arange(3.0)
    for _ in range(OFTEN + 1):
        captured(x, weight=weight)
    weight += 1
    assert torch.equal(captured(x, weight=weight)[0], 2 * x)
    assert torch.equal(captured(x, weight=torch.full((3,), 5.0))[0], 5 * x)
    assert standin.recorded == 1


def test_the_graph_used_longest_ago_is_dropped(standin):
    captured = Captured(scale_and_add)
    for size in range(1, MOST + 2):
        for _ in range(OFTEN):
            captured(torch.ones(size), torch.ones(size))
        captured(torch.ones(1), torch.ones(1))  # this one stays
    assert standin.recorded == MOST + 1 and len(captured._graphs) == MOST
    replayed = standin.replayed
    captured(torch.ones(1), torch.ones(1))
    assert standin.replayed == replayed + 1
    captured(torch.ones(2), torch.ones(2))
    assert (standin.recorded, standin.replayed) == (MOST + 1, replayed + 1)


def reads_a_number(x):
    return (x * x.sum().item(),)


def branches(x):
    return (x if x.sum() > 0 else -x,)


def copies_from_python(x):
    return (x * torch.tensor([1.0, 2.0]),)


def reads_an_array(x):
    return (x * float(x.numpy()[0]),)


def masks(x):
    return (x[x > 0],)


def picks(x):
    return (x[[1, 0]],)


calls = 0


def counts_its_calls(x):
    global calls
    calls += 1
    return (x + calls,)


@pytest.mark.parametrize(
    "function, reason",
    [
        (reads_a_number, "item reads"),
        (branches, "__bool__ reads"),
        (copies_from_python, "tensor copies"),
        (reads_an_array, "numpy reads"),
        (masks, "mask"),
        (picks, "indices"),
        (counts_its_calls, "its replay differs from the call"),
    ],
)
def test_what_cannot_be_captured_is_said_once_and_called_as_it_is(standin, caplog, function, reason):
    captured = Captured(function)
    x = torch.tensor([1.0, 3.0])
    expected = [captured(x)[0] for _ in range(OFTEN + 3)]
    (record,) = caplog.records
    assert function.__name__ in record.message and reason in record.message and "slower" in record.message
    if function is not counts_its_calls:
        assert all(torch.equal(e, function(x)[0]) for e in expected)


def test_an_error_of_the_function_itself_is_raised(standin):
    captured = Captured(lambda x: (x @ x,))
    for _ in range(OFTEN + 1):
        with pytest.raises(RuntimeError, match="shapes|size|mat"):
            captured(torch.ones(2, 3))


def test_in_inference_mode_and_out_of_it(standin):
    captured = Captured(scale_and_add)
    with torch.inference_mode():
        assert_results(captured, numbers())
    assert_results(captured, numbers())
    with torch.inference_mode():
        assert_results(captured, numbers())
    assert standin.recorded == 1


def test_threads_get_their_own_results(standin):
    captured, wrong = Captured(scale_and_add), []

    def work(seed):
        generator = torch.Generator().manual_seed(seed)
        for _ in range(50):
            pair = torch.randn(2, 64, 64, generator=generator).unbind()
            found, expected = captured(*pair), scale_and_add(*pair)
            if not all(map(torch.equal, found, expected)):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and standin.recorded == 1


def test_other_devices_call_the_function_as_it_is():
    captured = Captured(scale_and_add)
    x = torch.ones(2, requires_grad=True)
    for _ in range(OFTEN + 1):
        assert captured(x, x)[0].requires_grad
    assert cuda_graphs.recorder_of(torch.device("cpu")) is None and not captured._calls


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
class TestOnAGpu:
    def test_a_graph_gives_what_the_function_gives(self, monkeypatch):
        captured = Captured(scale_and_add)
        assert_results(captured, numbers(OFTEN + 3, device="cuda"))
        assert len(captured._graphs) == 1
        monkeypatch.setenv(cuda_graphs.SWITCH, "off")
        assert cuda_graphs.recorder_of(torch.device("cuda", 0)) is None

    @pytest.mark.parametrize("function", [reads_a_number, branches, copies_from_python])
    def test_what_waits_for_the_device_is_refused_and_later_captures_work(self, caplog, function):
        captured, later = Captured(function), Captured(scale_and_add)
        stream = torch.cuda.current_stream()
        x = torch.tensor([1.0, 3.0], device="cuda")
        if function is copies_from_python:
            captured = Captured(lambda x: (x * torch.tensor([1.0, 2.0], device="cuda"),))
        results = [captured(x)[0] for _ in range(OFTEN + 2)]
        assert len(caplog.records) == 1 and all(torch.equal(r, results[0]) for r in results)
        assert torch.cuda.current_stream() == stream
        assert_results(later, numbers(OFTEN + 3, device="cuda"))
        assert len(later._graphs) == 1

    def test_graphs_of_two_streams_and_two_functions_keep_apart(self):
        first, second = Captured(scale_and_add), Captured(lambda x: ((x @ x).relu() @ x,))
        side, x = torch.cuda.Stream(), torch.randn(256, 256, device="cuda")
        for _ in range(OFTEN + 5):
            y = torch.randn(256, 256, device="cuda")
            torch.cuda.synchronize()
            here, there = first(x, y), None
            with torch.cuda.stream(side):
                there = first(y, x)
                product = second(y)
            torch.cuda.synchronize()
            assert all(map(torch.equal, here, scale_and_add(x, y)))
            assert all(map(torch.equal, there, scale_and_add(y, x)))
            torch.testing.assert_close(product, second.function(y))
        assert len(first._graphs) == 2
