# SPDX-License-Identifier: Apache-2.0
"""Evaluation: the interval, the other sentence, and that a recorded expert scores while a motionless policy does not."""

import numpy as np
import pytest

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.runtime.policy import HoldPolicy, ReplayPolicy
from gr00t_sim.demonstration import Demonstrator, Variety
from gr00t_sim.evaluate import EvalConfig, other_sentence, summarise
from gr00t_sim.interval import wilson95
from gr00t_sim.rollout import Outcome, PolicyDriver, rollout
from gr00t_sim.simulation import TabletopSim


def test_wilson_interval_agrees_with_the_published_formula():
    np.testing.assert_allclose(wilson95(80, 100), (0.71117, 0.86663), atol=1e-5)
    assert wilson95(0, 10)[0] == pytest.approx(0.0) and wilson95(10, 10)[1] == pytest.approx(1.0)


def test_other_sentence_names_something_else_of_the_same_scene():
    for name in ("pick_named_object", "choose_bin"):
        sim = TabletopSim(name)
        for seed in range(10):
            own = sim.reset(seed)
            other = other_sentence(sim.task, seed, own)
            assert sim.task.parse(own) != sim.task.parse(other)


def test_a_replayed_demonstration_succeeds_and_a_motionless_policy_does_not():
    sim = TabletopSim("choose_bin")
    record = Demonstrator(sim, Variety(random_start=0.0, pushed=0.0, after_success_ticks=2)).run(3)
    assert record.success
    replay = ReplayPolicy(sim.embodiment, np.stack(record.actions).astype(float))
    assert rollout(sim, PolicyDriver(sim, replay, blend_time_s=0.0), 3).success
    assert not rollout(sim, PolicyDriver(sim, HoldPolicy(sim.embodiment)), 3, max_s=2.0).success
    sim.close()


def test_scores_have_the_published_keys():
    config = EvalConfig(task="choose_bin", episodes=2)
    outcomes = [
        ("choose_bin", language, Outcome(index == 0, "red can", (), 60, ""))
        for language in config.language
        for index in range(2)
    ]
    scores = summarise(config, outcomes)
    assert scores["average_success"] == 0.5
    entry = scores["tasks"]["choose_bin"]
    assert (entry["success_rate"], entry["episodes"], len(entry["wilson95"])) == (0.5, 2, 2)
    assert entry["other"]["episodes"] == entry["empty"]["episodes"] == 2


def test_an_unknown_language_is_refused():
    with pytest.raises(ConfigError, match="own, other, empty"):
        EvalConfig(language=("klingon",))
