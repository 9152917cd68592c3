"""The fused layers against the layers that they stand for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ltr.ops import dense, kernels

pytestmark = [
    pytest.mark.kernels,
    pytest.mark.skipif(not dense.available(), reason=f"the compiled CPU library is {kernels.FOUND['cpu'].detail}"),
]

HAS_AVX2 = torch.backends.cpu.get_cpu_capability().startswith("AVX")
REPO = Path(__file__).resolve().parents[3]


def exact(conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """The convolution in float64."""
    return nn.functional.conv2d(x.double(), conv.weight.double(), conv.bias.double(), conv.stride, conv.padding)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 70), st.integers(1, 70), st.integers(1, 13), st.integers(1, 13))
def test_winograd_is_the_convolution_at_any_size(batch, channels, out, height, width):
    torch.manual_seed(0)
    conv, x = nn.Conv2d(channels, out, 3, padding=1), torch.randn(batch, channels, height, width)
    with torch.no_grad():
        found, expected = dense.WinogradConv2d(conv)(x), exact(conv, x)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=2e-5 * float(expected.abs().max() + 1))


def test_winograd_adds_and_rectifies_after_the_convolution():
    conv, x, addend = nn.Conv2d(20, 24, 3, padding=1), torch.randn(2, 20, 9, 11), torch.randn(2, 24, 9, 11)
    with torch.no_grad():
        expected = (exact(conv, x) + addend).relu()
        found = dense.WinogradConv2d(conv, relu=True)(x, addend)
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-4)
        assert (found == 0).any() and (found > 0).any()
        # of any strides
        turned = x.transpose(2, 3).contiguous().transpose(2, 3)
        torch.testing.assert_close(dense.WinogradConv2d(conv, relu=True)(turned, addend), found)


def test_winograd_does_not_mix_images():
    conv, x = nn.Conv2d(8, 8, 3, padding=1), torch.randn(3, 8, 10, 10)
    layer = dense.WinogradConv2d(conv)
    with torch.no_grad():
        together = layer(x)
        for k in range(3):
            torch.testing.assert_close(layer(x[k : k + 1]), together[k : k + 1], rtol=1e-5, atol=1e-6)


def test_winograd_stands_only_for_what_it_can():
    fits = dense.WinogradConv2d.fits
    assert fits(nn.Conv2d(3, 4, 3, padding=1))
    for other in (
        nn.Conv2d(3, 4, 3),
        nn.Conv2d(3, 4, 3, padding="same"),
        nn.Conv2d(3, 4, 3, stride=2, padding=1),
        nn.Conv2d(3, 4, 3, padding=1, dilation=2),
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(3, 4, 5, padding=1),
        nn.ConvTranspose2d(3, 4, 3, padding=1),
    ):
        assert not fits(other)
        with pytest.raises(ValueError, match="3 x 3"):
            dense.WinogradConv2d(other)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 40), st.integers(1, 70), st.integers(1, 13), st.integers(1, 13),
    st.sampled_from([1, 3, 5, 7]), st.integers(1, 3), st.booleans(),
)  # fmt: skip
def test_convolution_is_the_convolution_at_any_size(batch, channels, out, height, width, kernel, stride, same):
    torch.manual_seed(0)
    conv = nn.Conv2d(channels, out, kernel, stride, 0 if same else kernel // 2)
    x = torch.randn(batch, channels, height, width)
    padded = tensorflow_padding(x, kernel, stride) if same else x
    with torch.no_grad():
        found, expected = dense.Convolution(conv, same, low=-0.5, high=0.5)(x), exact(conv, padded).clamp(-0.5, 0.5)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5)


def tensorflow_padding(x: torch.Tensor, kernel: int, stride: int) -> torch.Tensor:
    """'Same' padding: what is uneven goes to the end."""
    missing = [max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[:1:-1]]
    return nn.functional.pad(x, [side for m in missing for side in (m // 2, m - m // 2)])


def test_convolution_stands_only_for_what_it_can():
    fits = dense.Convolution.fits
    assert fits(nn.Conv2d(3, 4, 7, 2, 3)) and fits(nn.Conv2d(3, 4, 1))
    for other in (
        nn.Conv2d(3, 4, (3, 1)),
        nn.Conv2d(3, 4, 3, stride=(1, 2)),
        nn.Conv2d(3, 4, 3, padding="same"),
        nn.Conv2d(3, 4, 3, padding=(1, 0)),
        nn.Conv2d(3, 4, 3, dilation=2),
        nn.Conv2d(4, 4, 3, groups=4),
        nn.Conv2d(3, 4, 3, bias=False),
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
        nn.ConvTranspose2d(3, 4, 3, padding=1),
    ):
        assert not fits(other)
        with pytest.raises(ValueError, match="square"):
            dense.Convolution(other)


def block(channels: int, middle: int, out: int, kernel: int, stride: int, expands: bool, padding: int = 0):
    middle = middle if expands else channels
    expand = nn.Conv2d(channels, middle, 1) if expands else None
    depthwise = nn.Conv2d(middle, middle, kernel, stride, padding, groups=middle)
    return expand, depthwise, nn.Conv2d(middle, out, 1)


def plain_block(expand, depthwise, project, same: bool, residual: bool, x: torch.Tensor) -> torch.Tensor:
    """In float64, with TensorFlow's padding written out."""
    y = x.double()
    if expand is not None:
        y = nn.functional.conv2d(y, expand.weight.double(), expand.bias.double()).clamp(0, 6)
    if same:
        y = tensorflow_padding(y, depthwise.kernel_size[0], depthwise.stride[0])
    weight, bias = depthwise.weight.double(), depthwise.bias.double()
    y = nn.functional.conv2d(y, weight, bias, depthwise.stride, depthwise.padding, groups=depthwise.groups).clamp(0, 6)
    y = nn.functional.conv2d(y, project.weight.double(), project.bias.double())
    return y + x if residual else y


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("expands", [True, False])
@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("height, width", [(14, 14), (9, 14), (6, 5), (1, 1)])
def test_inverted_residual_is_its_three_convolutions(kernel, stride, expands, same, height, width):
    layers = block(12, 50, 20, kernel, stride, expands, padding=0 if same else kernel // 2)
    x = 3 * torch.randn(2, 12, height, width)
    with torch.no_grad():
        found = dense.InvertedResidual(*layers, same=same, residual=False)(x)
        expected = plain_block(*layers, same, False, x)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("channels, height, width", [(64, 40, 150), (160, 90, 7), (33, 200, 30)])
def test_large_maps_go_through_the_cache_in_bands(kernel, channels, height, width):
    """Maps that do not fit the ring of rows, with the identity added."""
    layers = block(channels, 6 * channels, channels, kernel, 1, True, padding=kernel // 2)
    x = torch.randn(1, channels, height, width)
    with torch.no_grad():
        found = dense.InvertedResidual(*layers, same=False, residual=True)(x)
        torch.testing.assert_close(found.double(), plain_block(*layers, False, True, x), rtol=1e-5, atol=3e-5)
        strided = block(channels, 6 * channels, channels, kernel, 2, True, padding=kernel // 2)
        found = dense.InvertedResidual(*strided, same=False, residual=False)(x)
        torch.testing.assert_close(found.double(), plain_block(*strided, False, False, x), rtol=1e-5, atol=3e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(1, 70), st.integers(1, 5), st.integers(1, 9), st.integers(1, 9))
def test_filter_is_a_same_convolution_and_its_adjoint(count, channels, kernel, height, width):
    torch.manual_seed(0)
    features, weight = torch.randn(count, channels, height, width), torch.randn(channels, kernel**2)
    response = torch.randn(count, height, width)
    exact = weight.double().requires_grad_()
    convolution = nn.functional.conv2d(features.double(), exact.view(1, -1, kernel, kernel), padding=kernel // 2)
    expected = convolution[:, 0, :height, :width]
    found = dense.filter_correlate(features, weight, kernel)
    torch.testing.assert_close(found.double(), expected.detach(), rtol=1e-5, atol=1e-4)
    (adjoint,) = torch.autograd.grad(expected, exact, response.double())
    found = dense.filter_adjoint(features, response, kernel)
    torch.testing.assert_close(found.double(), adjoint, rtol=1e-5, atol=1e-4)


def test_filters_of_views_and_of_nothing():
    features, weight = torch.randn(6, 18, 18, 64).permute(0, 3, 1, 2), torch.randn(64, 16)
    response = torch.randn(18, 18, 6).permute(2, 0, 1)
    torch.testing.assert_close(
        dense.filter_correlate(features[1:4], weight, 4), dense.filter_correlate(features, weight, 4)[1:4]
    )
    torch.testing.assert_close(
        dense.filter_adjoint(features, response, 4),
        dense.filter_adjoint(features[:2], response[:2], 4) + dense.filter_adjoint(features[2:], response[2:], 4),
        rtol=1e-4,
        atol=1e-4,
    )
    assert dense.filter_correlate(features[:0], weight, 4).shape == (0, 18, 18)
    assert torch.equal(dense.filter_adjoint(features[:0], response[:0], 4), torch.zeros(64, 16))
    with pytest.raises(ValueError, match="filter_correlate"):
        dense.filter_correlate(features, weight[:, :15], 4)
    with pytest.raises(ValueError, match="filter_adjoint"):
        dense.filter_adjoint(features, response[:5], 4)


@pytest.mark.parametrize("threads", [2, 3])
def test_the_number_of_threads_changes_nothing(threads):
    fused = dense.InvertedResidual(*block(16, 96, 16, 5, 1, True, padding=2), same=False, residual=True)
    winograd, x = dense.WinogradConv2d(nn.Conv2d(16, 100, 3, padding=1)), torch.randn(1, 16, 61, 47)
    features, response, weight = torch.randn(37, 20, 18, 18), torch.randn(37, 18, 18), torch.randn(20, 16)

    def results():
        with torch.no_grad():
            return [
                fused(x),
                winograd(x),
                dense.filter_correlate(features, weight, 4),
                dense.filter_adjoint(features, response, 4),
            ]

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = results()
        torch.set_num_threads(threads)
        assert all(torch.equal(a, b) for a, b in zip(alone, results(), strict=True))
    finally:
        torch.set_num_threads(before)


def test_inputs_that_do_not_fit_are_refused():
    conv, layers = nn.Conv2d(8, 8, 3, padding=1), block(8, 16, 8, 3, 1, True, padding=1)
    winograd, fused = dense.WinogradConv2d(conv), dense.InvertedResidual(*layers, same=False, residual=True)
    with torch.no_grad():
        for layer in (winograd, fused, dense.Convolution(conv)):
            for wrong in (torch.randn(1, 7, 9, 9), torch.randn(8, 9, 9), torch.randn(1, 8, 9, 9).double()):
                with pytest.raises(ValueError):
                    layer(wrong)
        with pytest.raises(ValueError, match="addend"):
            winograd(torch.randn(1, 8, 9, 9), torch.randn(1, 8, 9, 8))


def test_nobody_differentiates_them_by_mistake():
    x = torch.randn(1, 8, 9, 9, requires_grad=True)
    with pytest.raises(RuntimeError, match="derivative|not implemented"):
        dense.WinogradConv2d(nn.Conv2d(8, 8, 3, padding=1))(x).sum().backward()


@pytest.mark.slow
@pytest.mark.parametrize("capability", ["default", *(["avx2"] if HAS_AVX2 else [])])
def test_the_code_for_other_processors_computes_the_same(capability):
    """These tests once more, but for this one, by the code that an older processor would run."""
    others = "not threads and not processors"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-k", others, "-p", "no:cacheprovider", __file__],
        cwd=REPO,
        env={**os.environ, "ATEN_CPU_CAPABILITY": capability},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout
