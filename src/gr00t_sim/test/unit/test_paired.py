# SPDX-License-Identifier: Apache-2.0
"""Statistics of paired success: published values, symmetry, and intervals that hold the truth as often as they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from gr00t_sim.evaluation.paired import Pairs, count_pairs, difference95, mcnemar_p

_COUNTS = st.tuples(*[st.integers(0, 40)] * 4).filter(any)


def _swapped(pairs: Pairs) -> Pairs:
    return Pairs(pairs.both, pairs.only_b, pairs.only_a, pairs.neither)


def test_the_interval_is_the_published_one():
    """Newcombe 1998, Statistics in Medicine 17:2635, method 10: (36, 12, 2, 0) gives 0.0569 to 0.3404."""
    assert difference95(Pairs(36, 2, 12, 0)) == pytest.approx((0.0569, 0.3404), abs=5e-5)


@given(_COUNTS)
def test_the_p_value_is_the_two_sided_binomial_test_on_the_scenes_that_differ(counts):
    pairs = Pairs(*counts)
    differ = pairs.only_a + pairs.only_b
    expected = binomtest(pairs.only_a, differ, 0.5).pvalue if differ else 1.0
    assert mcnemar_p(pairs) == pytest.approx(expected)


@given(_COUNTS)
def test_exchanging_a_and_b_turns_the_sign_and_nothing_else(counts):
    pairs = Pairs(*counts)
    low, high = difference95(pairs)
    assert difference95(_swapped(pairs)) == pytest.approx((-high, -low))
    assert mcnemar_p(_swapped(pairs)) == mcnemar_p(pairs)


@given(_COUNTS)
def test_the_interval_holds_the_difference_and_stays_among_differences(counts):
    pairs = Pairs(*counts)
    low, high = difference95(pairs)
    assert -1 <= low <= pairs.difference + 1e-12
    assert pairs.difference - 1e-12 <= high <= 1


def test_ten_times_the_scenes_narrow_the_interval():
    few, many = difference95(Pairs(10, 2, 6, 2)), difference95(Pairs(100, 20, 60, 20))
    assert many[1] - many[0] < 0.5 * (few[1] - few[0])


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(5)
    chances = np.array([0.75, 0.05, 0.15, 0.05])  # both, only A, only B, neither
    intervals = [difference95(Pairs(*map(int, rng.multinomial(50, chances)))) for _ in range(2000)]
    held = np.mean([low <= chances[2] - chances[1] <= high for low, high in intervals])
    assert 0.935 <= held <= 0.985


def test_every_scene_is_counted_in_its_place():
    ends = [(True, True)] * 4 + [(True, False)] * 3 + [(False, True)] * 2 + [(False, False)]
    assert count_pairs(ends) == Pairs(4, 3, 2, 1)
    assert count_pairs(ends).difference == pytest.approx(-0.1)
