# SPDX-License-Identifier: Apache-2.0
"""Small robots and datasets for the tests of data: few joints, small moving pictures, real files."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Camera, Embodiment, Joint
from gr00t_policy.data.writer import LeRobotWriter

REAL = Path(__file__).resolve().parents[5] / "shared" / "data" / "robot_sim.PickNPlace"
HEIGHT, WIDTH = 48, 64


def small_robot(groups: dict[str, int] | None = None, state_encoding: str = "sin_cos", **changes: Any) -> Embodiment:
    """An embodiment with ``groups`` (name -> joints), all moved by the policy, in that order."""
    groups = groups or {"left_arm": 3, "right_arm": 2, "waist": 1}
    joints = [
        Joint(f"{group}_{number}", group, -2.0, 2.0, 2.0, 10.0, 20.0)
        for group, count in reversed(groups.items())  # file order is not policy order
        for number in range(count)
    ]
    fields = {
        "name": "small",
        "projector_index": 3,
        "rate_hz": 20.0,
        "joints": tuple(joints),
        "policy_groups": tuple(groups),
        "cameras": (Camera("head", WIDTH, HEIGHT, 20.0, "head_optical"),),
        "language_key": "annotation.human.coarse_action",
        "state_encoding": state_encoding,
        "home": {},
    }
    return Embodiment(**{**fields, **changes})


def moving_square(length: int, seed: int = 0) -> NDArray[np.uint8]:
    """(N, H, W, 3): a bright square that goes right, one column a frame, over a plain ground; each frame is unlike the others."""
    rng = np.random.default_rng(seed)
    frames = np.full((length, HEIGHT, WIDTH, 3), rng.integers(20, 90, 3), np.uint8)
    for index, frame in enumerate(frames):
        left = (3 * index + 5 * seed) % (WIDTH - 12)
        frame[16:28, left : left + 12] = 230
    return frames


def square_column(frame: NDArray[np.uint8]) -> int:
    """Where the square of ``moving_square`` begins in a decoded frame."""
    bright = frame[16:28].mean(axis=(0, 2)) > 160
    return int(np.argmax(bright))


def episode_arrays(robot: Embodiment, length: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """States and actions (N, J) of a random walk."""
    rng = np.random.default_rng(seed)
    walk = rng.normal(0, 0.05, (length + 1, len(robot.policy_joints))).cumsum(axis=0).astype(np.float32)
    return walk[:-1], walk[1:]


def add_sample(writer: LeRobotWriter, seed: int, length: int = 12, task: str = "pick up the red can") -> int:
    """One episode with an extra column ``goal`` (N, 2, 3) and its seed in the episode's line."""
    states, actions = episode_arrays(writer.embodiment, length, seed)
    goal = np.arange(length * 6, dtype=np.float32).reshape(length, 2, 3) + seed
    images = {"head": moving_square(length, seed)}
    return writer.add_episode(states, actions, images, task, {"goal": goal}, {"seed": seed})


def change_sentence(root: Path, index: int, row: int, task_index: int) -> None:
    """From ``row`` on, episode ``index`` of a finished dataset is about another of its tasks."""
    path = root / "data" / "chunk-000" / f"episode_{index:06d}.parquet"
    table, column = pq.read_table(path), small_robot().language_key
    numbers = table[column].to_numpy().copy()
    numbers[row:] = task_index
    place = table.schema.get_field_index(column)
    pq.write_table(table.set_column(place, column, pa.array(numbers)), path)


def to_radians(path: Path) -> None:
    """States and actions of one episode, in place."""
    table = pq.read_table(path)
    for name in ("observation.state", "action"):
        column = table[name].combine_chunks()
        rows = pa.FixedSizeListArray.from_arrays(
            pa.array(np.deg2rad(column.flatten().to_numpy())), len(column.flatten()) // len(column)
        )
        table = table.set_column(table.schema.get_field_index(name), name, rows.cast(column.type))
    pq.write_table(table, path)


def write_sample(root: Path, seeds: list[int], tasks: list[str] | None = None) -> Path:
    """A finished dataset with one episode per seed, of 12, 13, 14, ... frames."""
    with LeRobotWriter(root, small_robot()) as writer:
        for index, seed in enumerate(seeds):
            task = tasks[index] if tasks else "pick up the red can"
            add_sample(writer, seed, length=12 + index, task=task)
        writer.finish()
    return root
