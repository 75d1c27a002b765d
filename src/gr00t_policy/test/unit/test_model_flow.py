# SPDX-License-Identifier: Apache-2.0
"""Laws of flow matching: the path, its derivative, the sampler on fields whose solution is known."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gr00t_policy.model.flow import (
    bucket_of,
    euler,
    euler_buckets,
    flow_loss,
    interpolate,
    sample_time,
    target_velocity,
)

torch.set_num_threads(1)
SHAPE = (3, 16, 5)


def noise_and_actions(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(SHAPE, generator=generator, dtype=torch.float64), torch.randn(
        SHAPE, generator=generator, dtype=torch.float64
    )


def test_time_zero_is_noise_and_time_one_is_action() -> None:
    noise, actions = noise_and_actions()
    assert torch.equal(interpolate(noise, actions, torch.zeros(3)), noise)
    assert torch.equal(interpolate(noise, actions, torch.ones(3)), actions)


@given(t=st.floats(0.01, 0.99))
@settings(max_examples=20, deadline=None)
def test_target_velocity_is_the_time_derivative_of_the_path(t: float) -> None:
    noise, actions = noise_and_actions()
    at, step = torch.full((3,), t, dtype=torch.float64), 1e-3
    difference = (interpolate(noise, actions, at + step) - interpolate(noise, actions, at - step)) / (2 * step)
    assert torch.allclose(difference, target_velocity(noise, actions), atol=1e-9)


def test_euler_reaches_the_action_exactly_on_the_true_straight_field() -> None:
    noise, actions = noise_and_actions()
    for steps in (1, 4, 7):
        assert torch.allclose(euler(lambda x, k: actions - noise, noise, steps), actions, atol=1e-12)


def test_euler_on_a_linear_field_gives_the_known_power() -> None:
    """x' = a x has Euler solution x0 (1 + a/N)^N, whatever the noise."""
    noise, _ = noise_and_actions()
    assert torch.allclose(euler(lambda x, k: 0.8 * x, noise, 4), noise * (1 + 0.8 / 4) ** 4, atol=1e-12)


def test_euler_tells_the_field_the_index_of_each_step_in_order() -> None:
    seen: list[int] = []
    euler(lambda x, k: seen.append(k) or torch.zeros_like(x), torch.zeros(1, 1, 1), 4)
    assert seen == [0, 1, 2, 3]


def test_four_steps_use_the_published_buckets() -> None:
    assert euler_buckets(4, 1000) == (0, 250, 500, 750)
    assert euler_buckets(16, 1000)[1] == 62


def test_buckets_truncate_towards_zero() -> None:
    assert bucket_of(torch.tensor([0.0, 0.2509, 0.9999, -0.0004, -0.001]), 1000).tolist() == [0, 250, 999, 0, -1]


def test_sampled_times_have_the_published_mean_and_bounds_and_follow_the_generator() -> None:
    times, again, other = (
        sample_time(20000, alpha=1.5, beta=1.0, s=0.999, rng=np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    assert abs(times.mean().item() - 0.399) < 0.01  # 1 - E[u] / s with E[u] = 0.6
    assert times.min() >= -0.0011 and times.max() <= 1.0
    assert torch.equal(times, again) and not torch.equal(times, other)


def test_loss_ignores_masked_numbers_and_weighs_the_others_equally() -> None:
    noise, actions = noise_and_actions()
    mask = torch.zeros(SHAPE)
    mask[0, :, :2], mask[1, :3] = 1, 1
    spoiled = torch.where(mask.bool(), noise, torch.full_like(noise, 1e3))
    loss = flow_loss(spoiled, actions, mask)
    expected = (noise - actions)[mask.bool()].square().mean()
    assert torch.allclose(loss.mean, expected)
    assert torch.allclose(loss.per_sample[0], (noise - actions)[0, :, :2].square().mean())
    assert loss.per_sample[2] == 0
