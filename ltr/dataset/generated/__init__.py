"""Generated data: pieces of photographs moving over photographs, with exact ground truth.

It needs no download and has three parts: a small tracking benchmark (:func:`write_benchmark`), a training set for
trackers (:class:`Generated`), and images for detection (:mod:`ltr.dataset.generated.detection_set`). All are
deterministic: a seed and the number or name of a sequence or image fix every pixel. No two parts share a random stream.
Benchmark and training set share no photograph either, as long as training uses its default photographs or the user's.

A :class:`~ltr.dataset.generated.recipes.Recipe` says in numbers what a sequence shows;
:func:`~ltr.dataset.generated.composition.build_scene` draws what the recipe leaves open and returns a
:class:`~ltr.dataset.generated.scene.SyntheticScene`, which renders images and computes boxes.
"""

from ltr.dataset.generated.benchmark import BENCHMARK_SEQUENCES, benchmark_scene, write_benchmark
from ltr.dataset.generated.composition import build_scene
from ltr.dataset.generated.cutouts import Cutout
from ltr.dataset.generated.recipes import IMAGE_SIZE, Recipe, draw_recipe
from ltr.dataset.generated.scene import SyntheticScene
from ltr.dataset.generated.training_set import Generated

__all__ = [
    "BENCHMARK_SEQUENCES",
    "IMAGE_SIZE",
    "Cutout",
    "Generated",
    "Recipe",
    "SyntheticScene",
    "benchmark_scene",
    "build_scene",
    "draw_recipe",
    "write_benchmark",
]
