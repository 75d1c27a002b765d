# SPDX-License-Identifier: Apache-2.0
"""Scenes that are kept for evaluation are in nothing that is made to train on."""

from pathlib import Path

import pytest

from gr00t_policy.core.errors import ConfigError
from gr00t_sim.evaluation.seeds import EVALUATION_SEEDS, scene_seed
from gr00t_sim.expert_rates import ExpertsConfig
from gr00t_sim.generate import GenerateConfig
from gr00t_sim.multiply import MultiplyConfig
from gr00t_sim.scenes import ScenesConfig


def demonstrated(seed: int, count: int) -> GenerateConfig:
    return GenerateConfig(seed=seed, episodes=count)


def multiplied(seed: int, count: int, **more) -> MultiplyConfig:
    return MultiplyConfig(Path("few"), count, Path("many"), seed=seed, **more)


def still(seed: int, count: int) -> ScenesConfig:
    return ScenesConfig(count, seed=seed)


def tried(seed: int, count: int) -> ExpertsConfig:
    return ExpertsConfig(episodes=count, seed=seed)


@pytest.mark.parametrize("make", [demonstrated, multiplied, still])
@pytest.mark.parametrize(
    ("seed", "count"), [(10000, 1), (10099, 1), (9990, 11), (9000, 5000), (10050, 200), (9950, 100)]
)
def test_seeds_of_the_evaluation_are_refused(make, seed, count):
    with pytest.raises(ConfigError, match=r"10000 to 10099, which are for evaluation.*use --seed below 10000"):
        make(seed, count)


@pytest.mark.parametrize("make", [demonstrated, multiplied, still, tried])
def test_a_seed_below_zero_is_refused_before_any_process_starts(make):
    with pytest.raises(ConfigError, match=r"seed.*-1"):
        make(-1, 3)


@pytest.mark.parametrize("make", [demonstrated, multiplied, still])
@pytest.mark.parametrize(("seed", "count"), [(9990, 10), (10100, 50), (0, 10000)])
def test_seeds_beside_those_of_the_evaluation_are_taken(make, seed, count):
    assert make(seed, count).seed == seed


@pytest.mark.parametrize(
    ("seed", "episodes", "tries"), [(9990, 10, 10), (0, 200, 4000), (10100, 3, 60), (9000, 150, 1000)]
)
def test_failures_do_not_lead_into_the_evaluation_s_seeds(seed, episodes, tries):
    assert demonstrated(seed, episodes).most_tries == tries


@pytest.mark.parametrize(
    ("seed", "count", "tries", "most"),
    [(9990, 10, 0, 10), (9900, 10, 500, 100), (9000, 10, 0, 100), (9000, 10, 30, 30), (10100, 3, 0, 30)],
)
def test_neither_do_tries_to_multiply(seed, count, tries, most):
    assert multiplied(seed, count, tries=tries).most_tries == most


def test_scenes_up_to_the_first_of_the_evaluation_are_drawn_by_any_number_of_workers():
    assert ScenesConfig(3, seed=9997, workers=2).scenes == 3
    with pytest.raises(ConfigError, match="seeds 9997 to 10000 include"):
        ScenesConfig(4, seed=9997, workers=2)


def test_a_row_of_scenes_passes_over_those_of_the_evaluation_unless_it_begins_in_them():
    assert [scene_seed(9998, number) for number in range(4)] == [9998, 9999, 10100, 10101]
    assert [scene_seed(0, number) for number in (0, 9999, 10000)] == [0, 9999, 10100]
    assert [scene_seed(10098, number) for number in range(3)] == [10098, 10099, 10100]
    assert [scene_seed(10100, number) for number in range(2)] == [10100, 10101]
    assert not {scene_seed(9990, number) for number in range(300)} & set(EVALUATION_SEEDS)
