# SPDX-License-Identifier: Apache-2.0
"""The Gymnasium environment: its contract, determinism and refusals."""

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from gr00t_sim.env import ActionError, TabletopEnv


@pytest.fixture(scope="module")
def env():
    env = TabletopEnv("choose_bin", image_size=64)
    yield env
    env.close()


def test_environment_passes_gymnasiums_own_checker(env):
    check_env(env, skip_render_check=True)


def test_same_seed_and_actions_give_the_same_trajectory(env):
    def run():
        observation, _ = env.reset(seed=3)
        states = []
        for _ in range(5):
            observation, *_ = env.step(
                observation["state"].astype(float).clip(env.action_space.low, env.action_space.high)
            )
            states.append(observation["state"])
        return np.stack(states)

    np.testing.assert_array_equal(run(), run())


@pytest.mark.parametrize("action", [np.zeros(3), np.full(29, np.nan)])
def test_a_bad_action_is_refused_and_nothing_moves(env, action):
    env.reset(seed=1)
    before = env.sim.time_s
    with pytest.raises(ActionError, match="29 finite joint targets"):
        env.step(action)
    assert env.sim.time_s == before


def test_sentence_option_changes_what_is_judged(env):
    observation, _ = env.reset(seed=1, options={"sentence": "put the red can into the white bin"})
    assert observation["instruction"] == "put the red can into the white bin"
    assert env.sim.task.goal.target == "white bin"
