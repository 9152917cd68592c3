"""The examples in the docstrings run and print what they say; the package's table of contents names what is there."""

import doctest
import importlib
import inspect
import pkgutil
import re

import pytest

import ebm_common

MODULES = [info.name for info in pkgutil.iter_modules(ebm_common.__path__, "ebm_common.")]

#: What a newcomer meets first.
SHOWN = {
    "GaussianMixtureProposal",
    "SoftmaxBins",
    "ascend",
    "ascend_backtracking",
    "ascend_early_stop",
    "density_slice_2d",
    "elementwise_iou",
    "importance_sample",
    "nll_importance_sampling",
    "noise_contrastive_estimation",
    "normalized_log_density_grid",
    "rect_to_rel",
}


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0  # pytest shows what it printed


@pytest.mark.parametrize("name", sorted(SHOWN))
def test_what_a_newcomer_meets_first_has_an_example(name):
    assert ">>>" in getattr(ebm_common, name).__doc__


def test_the_table_of_contents_names_every_function_and_its_file():
    rows = re.findall(r"^\| .* \| (`.*`) \| (\w+)\.py \|$", ebm_common.__doc__, re.MULTILINE)
    listed = {name: f"ebm_common.{file}" for names, file in rows for name in re.findall(r"`(\w+)`", names)}
    assert set(listed.values()) == set(MODULES)
    assert all(getattr(ebm_common, name).__module__ == module for name, module in listed.items())
    functions = {name for name in ebm_common.__all__ if inspect.isfunction(getattr(ebm_common, name))}
    assert functions <= listed.keys()
