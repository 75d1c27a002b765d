# SPDX-License-Identifier: Apache-2.0
"""Open-loop evaluation: a policy that knows the record makes no error, holding makes that of the motion, names decide."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from sample_data import add_sample, change_sentence, small_robot, write_sample

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import ConfigError, DatasetError
from gr00t_policy.core.types import ActionChunk, Observation
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.data.writer import LeRobotWriter
from gr00t_policy.runtime.policy import HoldPolicy
from gr00t_policy.training.open_loop import (
    episodes_to_trace,
    mean_action,
    open_recording,
    score,
    trace_episode,
)
from gr00t_policy.training.open_loop_plots import draw_errors, draw_group

HORIZON = 5


@dataclass
class Oracle(HoldPolicy):
    """Says what was recorded next, with ``wrong_rad`` added to one joint; keeps what it was shown."""

    actions: np.ndarray | None = None
    wrong_rad: float = 0.0
    wrong_joint: int = 0

    def encode(self, observation: Observation, sequence: int = 0, instruction_id: int = 0):
        self.seen = observation
        return super().encode(observation, sequence, instruction_id)

    def act(self, state, state_stamp_ns: int) -> ActionChunk:
        assert self.actions is not None
        frame = round(state_stamp_ns * self.embodiment.rate_hz / 1e9)
        rows = np.minimum(frame + np.arange(self.horizon), len(self.actions) - 1)
        positions = self.actions[rows].astype(np.float64)
        positions[:, self.wrong_joint] += self.wrong_rad
        return replace(super().act(state, state_stamp_ns), positions=positions)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> LeRobotDataset:
    return open_recording(small_robot(), write_sample(tmp_path_factory.mktemp("data") / "recorded", [0, 1, 2]))


def oracle(dataset: LeRobotDataset, episode: int, **changes) -> Oracle:
    return Oracle(small_robot(), HORIZON, dataset.episode(episode).actions, **changes)


def test_a_policy_that_knows_the_record_makes_no_error(dataset):
    trace = trace_episode(oracle(dataset, 1), dataset, 1)
    scores = score([trace], small_robot(), np.zeros(6))
    assert list(scores["groups"]) == ["left_arm", "right_arm", "waist", "all"]
    assert all(entry["policy"]["mse"] == 0 for entry in scores["groups"].values())
    assert scores["groups"]["all"]["hold"]["mse"] > 0


def test_an_error_is_counted_in_its_own_group_and_in_radians(dataset):
    wrong = oracle(dataset, 0, wrong_rad=0.3, wrong_joint=3)  # the first of two joints of the right arm
    groups = score([trace_episode(wrong, dataset, 0)], small_robot(), np.zeros(6))["groups"]
    assert groups["right_arm"]["policy"]["mae"] == pytest.approx(0.3 / 2)
    assert groups["right_arm"]["policy"]["mse"] == pytest.approx(0.3**2 / 2)
    assert groups["left_arm"]["policy"]["mae"] == groups["waist"]["policy"]["mae"] == 0
    assert groups["all"]["policy"]["mae"] == pytest.approx(0.3 / 6)


def test_baselines_are_what_they_are_called(dataset):
    episode = dataset.episode(2)
    mean, averaged = mean_action(dataset, [2])
    assert averaged == [0, 1], "the mean is that of the other episodes"
    others = np.concatenate([dataset.episode(0).actions, dataset.episode(1).actions])
    np.testing.assert_allclose(mean, others.mean(axis=0), atol=1e-6)
    groups = score([trace_episode(oracle(dataset, 2), dataset, 2)], small_robot(), mean)["groups"]
    for step in (0, HORIZON - 1):
        last = len(episode) - step
        held = np.abs(episode.states[:last] - episode.actions[step:]).mean()
        constant = np.abs(mean - episode.actions[step:]).mean()
        assert groups["all"]["hold"]["mae_by_step"][step] == pytest.approx(held, rel=1e-5)
        assert groups["all"]["mean"]["mae_by_step"][step] == pytest.approx(constant, rel=1e-5)


def test_without_other_episodes_the_mean_is_that_of_all(dataset):
    assert mean_action(dataset, [0, 1, 2])[1] == [0, 1, 2]


def test_steps_beyond_the_end_are_not_compared(dataset):
    trace = trace_episode(oracle(dataset, 0), dataset, 0, stride=3)
    np.testing.assert_array_equal(trace.starts, np.arange(0, len(trace.actions), 3))
    np.testing.assert_array_equal(trace.known.sum(axis=1), np.minimum(HORIZON, len(trace.actions) - trace.starts))


def test_the_policy_sees_the_recorded_moment(dataset):
    policy = oracle(dataset, 1)
    trace_episode(policy, dataset, 1, stride=4)
    frame = (len(dataset.episode(1)) - 1) // 4 * 4
    np.testing.assert_array_equal(policy.seen.images["head"], dataset.frames(1, "head", [frame])[0])
    np.testing.assert_array_equal(policy.seen.state, dataset.episode(1).states[frame])
    assert policy.seen.instruction == "pick up the red can"


def test_the_policy_is_told_the_sentence_of_the_moment(tmp_path):
    root = write_sample(tmp_path / "data", [0, 1], ["take the can", "take the ball"])
    change_sentence(root, 0, 6, 1)
    dataset, told = open_recording(small_robot(), root), {}

    class Listener(Oracle):
        def encode(self, observation: Observation, sequence: int = 0, instruction_id: int = 0):
            told[sequence] = observation.instruction
            return super().encode(observation, sequence, instruction_id)

    trace_episode(Listener(small_robot(), HORIZON, dataset.episode(0).actions), dataset, 0, stride=3)
    assert told == {0: "take the can", 3: "take the can", 6: "take the ball", 9: "take the ball"}


def test_rows_that_are_not_to_be_imitated_are_left_out(tmp_path):
    with LeRobotWriter(tmp_path / "data", small_robot()) as writer:
        from sample_data import episode_arrays, moving_square

        states, actions = episode_arrays(small_robot(), 12, 0)
        valid = np.ones((12, 1), np.float32)
        valid[4:6] = 0
        writer.add_episode(states, actions, {"head": moving_square(12)}, "go", {"valid": valid})
        writer.finish()
    dataset = open_recording(small_robot(), tmp_path / "data")
    trace = trace_episode(oracle(dataset, 0), dataset, 0)
    assert not set(trace.starts) & {4, 5}
    assert trace.known[3].tolist() == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("robot", "said"),
    [
        (small_robot({"left_arm": 3, "right_arm": 2, "tail": 1, "wing": 2}), "no state group tail, wing"),
        (small_robot({"left_arm": 3, "right_arm": 4}), "state.right_arm has 2 values, the robot 4 joints"),
        (small_robot(rate_hz=30.0), "recorded at 20 frames/s, the policy's steps are 1/30 s"),
    ],
)
def test_a_dataset_that_lacks_something_is_refused_by_name(tmp_path, robot: Embodiment, said: str):
    root = write_sample(tmp_path / "data", [0])
    with pytest.raises(DatasetError, match=said):
        open_recording(robot, root)


def test_groups_are_found_by_name_in_a_dataset_that_has_more_of_them_in_another_order(tmp_path):
    root = write_sample(tmp_path / "data", [0])
    robot = small_robot({"waist": 1, "right_arm": 2})
    chosen, whole = open_recording(robot, root).episode(0), LeRobotDataset(root).episode(0)
    np.testing.assert_array_equal(chosen.actions, whole.actions[:, [5, 3, 4]])


def test_an_episode_that_is_not_there_is_named(dataset):
    assert episodes_to_trace(dataset, ()) == (0, 1, 2)
    with pytest.raises(ConfigError, match="no episode 8; it has 3"):
        episodes_to_trace(dataset, (0, 8))


def test_a_video_shorter_than_its_episode_is_refused(tmp_path):
    from gr00t_policy.data.video import write_video

    with LeRobotWriter(tmp_path / "data", small_robot()) as writer:
        add_sample(writer, 0)
        writer.finish()
    dataset = open_recording(small_robot(), tmp_path / "data")
    write_video(dataset.video_path(0, "head"), dataset.frames(0, "head")[:7], 20.0)
    with pytest.raises(DatasetError, match="12 rows, its video 7 pictures"):
        trace_episode(oracle(dataset, 0), dataset, 0)


def test_pictures_are_drawn(dataset, tmp_path: Path):
    import matplotlib

    matplotlib.use("Agg")
    trace = trace_episode(oracle(dataset, 0, wrong_rad=0.1), dataset, 0)
    draw_group(trace, small_robot(), "left_arm", tmp_path / "left_arm.png")
    draw_errors(score([trace], small_robot(), np.zeros(6)), 0.05, tmp_path / "errors.png")
    assert all((tmp_path / name).stat().st_size > 3000 for name in ("left_arm.png", "errors.png"))
