"""Random recipes for training."""

from __future__ import annotations

import numpy as np

from ltr.dataset.generated import draw_recipe
from ltr.dataset.generated.photographs import TRAINING_PHOTOGRAPHS


def test_training_recipes_show_what_the_benchmark_lacks_often_enough():
    random = np.random.RandomState(0)
    recipes = [draw_recipe(random, TRAINING_PHOTOGRAPHS) for _ in range(400)]
    flexes = np.array([recipe.target.flex for recipe in recipes])
    assert 0.42 < (flexes > 0).mean() < 0.58
    assert flexes[flexes > 0].min() < 0.1 and flexes.max() > 0.35
    periods = [recipe.target.flex_period for recipe in recipes if recipe.target.flex]
    assert min(periods) >= 8 and max(periods) <= 60
    assert 0.38 < np.mean([bool(recipe.passers or recipe.standing) for recipe in recipes]) < 0.54
    crowded = [recipe for recipe in recipes if recipe.distractors]
    assert 0.33 < len(crowded) / len(recipes) < 0.47
    doubles = [recipe for recipe in crowded if any(_is_double(d, recipe.target) for d in recipe.distractors)]
    assert 0.3 < len(doubles) / len(crowded) < 0.65
    assert 0.45 < np.mean([recipe.closeness > 0 for recipe in crowded]) < 0.75


def _is_double(distractor, target) -> bool:
    return (distractor.photo, distractor.x, distractor.y) == (target.photo, target.x, target.y)
