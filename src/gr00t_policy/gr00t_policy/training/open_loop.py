# SPDX-License-Identifier: Apache-2.0
"""What a policy predicts beside what was recorded: chunk by chunk on recorded observations, nothing is moved.

Predictions are compared per joint group and horizon step, in the units of the recording, and beside two that need no
network: stay where the robot is, and the mean of all actions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import ConfigError, DatasetError
from gr00t_policy.core.types import Observation
from gr00t_policy.data.fitting import open_for
from gr00t_policy.data.reader import Episode, LeRobotDataset
from gr00t_policy.data.valid_rows import valid_rows
from gr00t_policy.runtime.policy import Policy

PREDICTORS = ("policy", "hold", "mean")
_NS = 1_000_000_000


@dataclass(frozen=True)
class EpisodeTrace:
    """One episode and the M chunks that were predicted along it.

    states, actions: (N, J) as recorded. starts: (M,) frame at which each chunk was predicted; its row i is about frame
    start + i. predicted, recorded: (M, T, J). known: (M, T) False beyond the episode's end and where nothing is to be imitated.
    """

    index: int
    task: str
    states: NDArray[np.floating]
    actions: NDArray[np.floating]
    starts: NDArray[np.int64]
    predicted: NDArray[np.floating]
    recorded: NDArray[np.floating]
    known: NDArray[np.bool_]


def open_recording(robot: Embodiment, root: Path, default_task: str | None = None) -> LeRobotDataset:
    """The dataset, when it holds all that the robot's policy sees and moves, at its rate. Raises DatasetError.

    default_task: what the policy reads where the dataset has no sentences, see ``LeRobotDataset``.
    """
    dataset = open_for(robot, root, default_task)
    if abs(dataset.fps - robot.rate_hz) > 0.01:
        raise DatasetError(
            f"{root} was recorded at {dataset.fps:g} frames/s, the policy's steps are 1/{robot.rate_hz:g} s; "
            "record at that rate, or fine-tune a checkpoint on this dataset"
        )
    return dataset


def trace_episode(policy: Policy, dataset: LeRobotDataset, number: int, stride: int = 1, seed: int = 0) -> EpisodeTrace:
    """Ask the policy at every ``stride``-th frame of an episode, as at run time: observation in, chunk out."""
    episode = dataset.episode(number)
    valid = valid_rows(episode)
    policy.start_episode(seed)
    starts, chunks = [], []
    for frame, images in _pictures(dataset, number, policy.embodiment, stride):
        if valid[frame]:
            starts.append(frame)
            chunks.append(_chunk(policy, episode, frame, images, 1.0 / dataset.fps))
    if not chunks:
        raise DatasetError(f"{dataset.layout.root}: episode {number} has no valid frame among every {stride}th")
    predicted = np.stack(chunks)
    rows = np.array(starts)[:, None] + np.arange(predicted.shape[1])
    inside = np.minimum(rows, len(episode) - 1)
    known = (rows < len(episode)) & np.logical_and.accumulate(valid[inside], axis=1)
    return EpisodeTrace(
        index=number,
        task=episode.task,
        states=episode.states,
        actions=episode.actions,
        starts=np.array(starts),
        predicted=predicted,
        recorded=episode.actions[inside],
        known=known,
    )


def mean_action(dataset: LeRobotDataset, evaluated: Sequence[int]) -> tuple[NDArray[np.float64], list[int]]:
    """Mean (J,) over the dataset's other episodes, or over all where there is no other; and which these were."""
    numbers = [entry.index for entry in dataset.episodes if entry.index not in evaluated]
    numbers = numbers or [entry.index for entry in dataset.episodes]
    actions = np.concatenate([dataset.episode(number).actions for number in numbers])
    return actions.mean(axis=0, dtype=np.float64), numbers


def score(traces: Sequence[EpisodeTrace], robot: Embodiment, mean: NDArray[np.floating]) -> dict[str, Any]:
    """groups.<group or 'all'>.<policy, hold, mean>.{mse, mae, mse_by_step, mae_by_step}, over all known steps of all traces."""
    each = [_errors(trace, mean) for trace in traces]
    errors = {name: np.concatenate([one[name] for one in each]) for name in PREDICTORS}
    known = np.concatenate([trace.known for trace in traces])
    everything = slice(0, len(robot.policy_joints))
    return {
        "chunks": len(known),
        "groups": {
            group: {name: _summary(error[..., part], known) for name, error in errors.items()}
            for group, part in {**robot.policy_slices, "all": everything}.items()
        },
    }


def episodes_to_trace(dataset: LeRobotDataset, asked: Sequence[int]) -> tuple[int, ...]:
    """``asked``, or all. Raises ConfigError naming one that the dataset does not have."""
    numbers = [entry.index for entry in dataset.episodes]
    if unknown := [number for number in asked if number not in numbers]:
        raise ConfigError(f"{dataset.layout.root} has no episode {unknown[0]}; it has {len(numbers)}, counted from 0")
    return tuple(asked) or tuple(numbers)


def _pictures(
    dataset: LeRobotDataset, number: int, robot: Embodiment, stride: int
) -> Iterator[tuple[int, dict[str, NDArray[np.uint8]]]]:
    """(frame, camera -> picture) at every ``stride``-th frame, decoded in order."""
    cameras = [camera.name for camera in robot.cameras]
    streams = [dataset.iterate_frames(number, camera) for camera in cameras]
    length = dataset.episodes[number].length
    frame = -1
    for frame, pictures in enumerate(zip(*streams, strict=False)):
        if frame % stride == 0 and frame < length:
            yield frame, dict(zip(cameras, pictures, strict=True))
    if frame + 1 != length:
        raise DatasetError(f"{dataset.layout.root}: episode {number} has {length} rows, its video {frame + 1} pictures")


def _chunk(
    policy: Policy, episode: Episode, frame: int, images: dict[str, NDArray[np.uint8]], period_s: float
) -> NDArray[np.floating]:
    stamp_ns = round(frame * period_s * _NS)
    observation = Observation(images, episode.states[frame], episode.sentences[frame], stamp_ns, stamp_ns)
    policy.accept(policy.encode(observation, sequence=frame))
    return policy.act(episode.states[frame], stamp_ns).positions


def _errors(trace: EpisodeTrace, mean: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
    """Predictor -> errors (M, T, J)."""
    held = trace.states[trace.starts][:, None]
    predictions = dict(zip(PREDICTORS, (trace.predicted, held, mean), strict=True))
    return {name: np.asarray(predicted - trace.recorded, np.float64) for name, predicted in predictions.items()}


def _summary(error: NDArray[np.float64], known: NDArray[np.bool_]) -> dict[str, Any]:
    """error (M, T, J), known (M, T). Steps that no chunk knows are NaN."""
    steps = np.maximum(known.sum(axis=0), 1) / np.where(known.any(axis=0), 1.0, np.nan)
    squared = (error**2).mean(axis=-1) * known
    absolute = np.abs(error).mean(axis=-1) * known
    return {
        "mse": float(squared.sum() / known.sum()),
        "mae": float(absolute.sum() / known.sum()),
        "mse_by_step": (squared.sum(axis=0) / steps).tolist(),
        "mae_by_step": (absolute.sum(axis=0) / steps).tolist(),
    }
