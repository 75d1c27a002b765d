# SPDX-License-Identifier: Apache-2.0
"""What fewer Euler steps change: less the more there are, nothing when nothing changes; and where that can be asked for."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from small_checkpoint import save_small_checkpoint

from gr00t_bringup.bench.step_errors import MOST, observations, step_errors
from gr00t_bringup.cli import EXIT_ERROR, main, options_of
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.core.types import ConditioningTokens
from gr00t_policy.model.checkpoint import Checkpoint, load_checkpoint
from gr00t_policy.model.config import EULER_STEPS
from gr00t_policy.runtime.backends import blank_tokens, load_backend
from gr00t_policy.runtime.config import ControllerConfig
from gr00t_sim.checkpoint_policy import load_policy


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_checkpoint(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> Checkpoint:
    return load_checkpoint(folder)


def made_observations(checkpoint: Checkpoint, count: int = 3) -> list[tuple[ConditioningTokens, np.ndarray]]:
    rng, blank = np.random.default_rng(0), blank_tokens(checkpoint)
    return [
        (
            ConditioningTokens(
                rng.normal(size=blank.features.shape).astype(np.float32),
                blank.mask,
                0,
                number,
                checkpoint_hash=checkpoint.hash,
                embodiment="gr1",
            ),
            rng.uniform(-0.2, 0.2, 29),
        )
        for number in range(count)
    ]


def test_the_error_falls_with_the_number_of_steps_and_the_engine_is_close_to_float32(checkpoint: Checkpoint) -> None:
    errors = step_errors(checkpoint, "fp32", made_observations(checkpoint))
    with_noise = {error.way: error for error in errors if error.noise_scale == 1}
    rms = [with_noise[f"{steps} step(s)"].rms_rad for steps in EULER_STEPS[:-1]]
    assert all(more < fewer for fewer, more in pairwise(rms))
    assert all(0 < error.rms_rad <= error.max_rad for error in errors)
    assert with_noise["openvino fp32, 4 steps"].max_rad < 1e-3 < with_noise["4 step(s)"].max_rad
    assert len(errors) == 2 * len(EULER_STEPS)


def test_observations_are_pairs_of_what_the_planner_saw_and_the_robots_pose(checkpoint: Checkpoint) -> None:
    seen = observations(checkpoint, load_backend(checkpoint, "torch", threads=1), ("pick_named_object",), longest_s=0.4)
    assert len(seen) == 2
    assert all(tokens.checkpoint_hash == checkpoint.hash and state.shape == (29,) for tokens, state in seen)
    assert not np.array_equal(seen[0][0].features, seen[1][0].features)


def test_other_steps_are_another_head_of_the_same_checkpoint(checkpoint: Checkpoint) -> None:
    assert checkpoint.with_steps(0) is checkpoint
    two = checkpoint.with_steps(2)
    assert (two.config.head.steps, two.hash) == (2, checkpoint.hash)
    assert MOST == 16
    with pytest.raises(ConfigError, match="steps is 3; choose one of: 1, 2, 4, 8, 16, or 0 for the checkpoint's 4"):
        checkpoint.with_steps(3)


def test_the_controller_and_the_commands_refuse_other_steps(capsys: pytest.CaptureFixture[str]) -> None:
    assert ControllerConfig(steps=8).steps == 8
    with pytest.raises(ConfigError, match="'steps' is '5'; choose one of: 0, 1, 2, 4, 8, 16"):
        ControllerConfig(steps=5)
    assert main(["bench", "model", "--steps", "5"]) == EXIT_ERROR
    assert main(["bench", "model", "--preset", "tiny", "--error-vs-16"]) == EXIT_ERROR
    assert main(["eval", "--task", "stack", "--steps", "5"]) == EXIT_ERROR
    said = capsys.readouterr().err
    assert said.count("steps is 5; choose one of") == 2
    assert "a preset has random weights" in said
    assert options_of(["eval", "--task", "stack", "--steps", "2"]).settings.steps == 2


def test_an_evaluation_with_other_steps_acts_with_them(folder: Path, checkpoint: Checkpoint) -> None:
    tokens, state = made_observations(checkpoint, 1)[0]
    chunks = []
    for steps in (0, 4, 1):
        policy = load_policy(folder, "torch", noise_scale=1.0, steps=steps)
        policy.accept(tokens)
        chunks.append(policy.act(state, 0).positions)
    np.testing.assert_array_equal(chunks[0], chunks[1])
    assert np.abs(chunks[0] - chunks[2]).max() > 1e-3
