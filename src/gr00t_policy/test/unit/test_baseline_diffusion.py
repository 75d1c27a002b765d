# SPDX-License-Identifier: Apache-2.0
"""Laws of the diffusion process and of its sampler, without a network."""

import math

import numpy as np
import pytest
import torch

from gr00t_policy.baseline.config import ScheduleConfig, check_sample_steps
from gr00t_policy.baseline.diffusion import add_noise, alpha_bars, ddim, draw_steps, sampled_steps
from gr00t_policy.core.errors import ConfigError

SHARES = alpha_bars(100)


def test_the_signal_falls_with_every_step_from_nearly_all_to_nearly_nothing():
    assert bool((SHARES[1:] < SHARES[:-1]).all())
    assert SHARES[0] > 0.999 and 0 < SHARES[-1] < 1e-3
    half, whole = (math.cos((share + 0.008) / 1.008 * math.pi / 2) ** 2 for share in (0.5, 0.0))
    assert SHARES[49] == pytest.approx(half / whole, rel=1e-4)


def test_noising_keeps_the_variance_of_normal_actions():
    generator = torch.Generator().manual_seed(0)
    actions, noise = (torch.randn(100, 64, 32, generator=generator) for _ in range(2))
    noisy = add_noise(actions, noise, SHARES)
    np.testing.assert_allclose(noisy.std(dim=(1, 2)).numpy(), 1.0, atol=0.06)


@pytest.mark.parametrize("count", [1, 2, 4, 5, 10, 20, 25, 50, 100])
def test_the_visited_steps_descend_to_the_first_and_are_as_many_as_asked_for(count):
    check_sample_steps(100, count)
    visited = sampled_steps(100, count)
    assert len(visited) == count and visited[-1] == 0 and max(visited) < 100
    assert list(visited) == sorted(set(visited), reverse=True)


def test_by_default_a_chunk_takes_the_ten_steps_from_90_to_0():
    schedule = ScheduleConfig()
    visited = sampled_steps(schedule.train_steps, schedule.sample_steps)
    assert visited == (90, 80, 70, 60, 50, 40, 30, 20, 10, 0)


@pytest.mark.parametrize("count", [-1, 0, 7, 16, 30, 51, 99, 101, 200])
def test_steps_that_would_begin_in_the_midst_of_the_noise_are_refused_with_those_that_do_not(count):
    with pytest.raises(ConfigError, match=rf"sample_steps is {count}; .*: 1, 2, 4, 5, 10, 20, 25, 50, 100$"):
        ScheduleConfig(sample_steps=count)


@pytest.mark.parametrize("count", [1, 10, 100])
@pytest.mark.parametrize("clip", [True, False])
def test_whoever_knows_the_noise_gets_the_actions_back_from_any_start(count, clip):
    generator = torch.Generator().manual_seed(1)
    actions = torch.rand(3, 16, 5, generator=generator) * 1.8 - 0.9
    visited = sampled_steps(100, count)

    def oracle(x, number):
        share = SHARES[visited[number]]
        return (x - share.sqrt() * actions) / (1 - share).sqrt()

    found = ddim(oracle, torch.randn(3, 16, 5, generator=generator), SHARES, count, clip=clip)
    torch.testing.assert_close(found, actions, atol=2e-4, rtol=0)


def test_the_right_predictor_of_normal_actions_turns_unit_noise_into_their_spread():
    """Of actions N(0, s^2) the noise expected in x is sqrt(1 - a) x / (a s^2 + 1 - a); more steps come closer to s."""
    spread, visited = 0.3, {count: sampled_steps(100, count) for count in (10, 100)}

    def reached(count):
        def expected(x, number):
            share = SHARES[visited[count][number]]
            return (1 - share).sqrt() * x / (share * spread**2 + 1 - share)

        return float(ddim(expected, torch.ones(1, 1, 1), SHARES, count, clip=False))

    assert abs(reached(100) - spread) < 0.02
    assert abs(reached(100) - spread) < abs(reached(10) - spread) < 0.15


def test_a_clipped_sample_stays_within_the_range_of_actions():
    wild = ddim(lambda x, _: 5 * torch.sin(50 * x), torch.randn(1, 16, 4), SHARES, 10, clip=True)
    assert bool((wild.abs() <= 1).all())


def test_every_training_step_is_drawn_about_equally_often():
    drawn = draw_steps(20000, 100, np.random.default_rng(0))
    counts = torch.bincount(drawn, minlength=100)
    assert len(counts) == 100 and counts.min() > 130 and counts.max() < 270
