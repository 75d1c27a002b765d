# SPDX-License-Identifier: Apache-2.0
"""Still scenes, what can be asked in them and where that is, for learning to find what is named: ``gr00t sim scenes``.

Thousands of layouts cost as much to make as a few dozen demonstrations, and localisation needs layouts, not motion.
"""

import multiprocessing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.grounding import GroundingFacts, load_grounding, save_grounding
from gr00t_policy.data.transforms import ImageTransform
from gr00t_sim.demonstration import random_reach_targets
from gr00t_sim.evaluation.seeds import require_trainable
from gr00t_sim.experts.registry import make_expert
from gr00t_sim.looks import looks_named, require_looks
from gr00t_sim.recording import goal_uv
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.tasks.registry import TASKS, tasks_named
from gr00t_sim.tasks.sentences import all_wishes

_POSES = 30
_ARM_OVER_TABLE = 0.7  # share of the scenes


@dataclass(frozen=True)
class ScenesConfig:
    """How many pictures of what size, and where to."""

    scenes: int = 20000
    """Pictures to make, evenly over the tasks."""
    suite: str = "gr1_tabletop"
    """A suite of tasks, or one task; docs/tasks.md lists them."""
    seed: int = 500000
    """Seed of the first scene; the next ones follow. Seeds 10000 to 10099 are for evaluation and refused."""
    image_size: int = 112
    """Side of the stored picture: the network's."""
    crop_fraction: float = 1.0
    """Share of the camera picture that the network sees."""
    looks: str = "none"
    """How pictures vary from scene to scene: none, mild or strong."""
    out: Path = Path("out/datasets/scenes")
    """Folder of the set."""
    workers: int = 2
    """Processes; one a core."""

    def __post_init__(self) -> None:
        if self.scenes < 1 or self.workers < 1:
            raise ConfigError(f"scenes and workers must be at least 1, got {self.scenes} and {self.workers}")
        tasks_named(self.suite)
        looks_named(self.looks)
        require_trainable(self.seed, self.share * self.workers)

    @property
    def share(self) -> int:
        """Scenes of each worker; those of the last may be more than are kept."""
        return -(-self.scenes // self.workers)


def run(config: ScenesConfig) -> int:
    """Make the set unless it is there. Returns the exit code."""
    if (config.out / "grounding.json").is_file():
        require_looks(config.out, load_grounding(config.out).facts.looks, config.looks)
        print(f"{config.out} exists; remove it to make it again")
        return 0
    share = config.share
    jobs = [(config, share, config.seed + index * share, index == 0) for index in range(config.workers)]
    with multiprocessing.get_context("spawn").Pool(config.workers) as pool:
        parts = pool.starmap(make_scenes, jobs)
    facts = GroundingFacts(tuple(said for _, said in _wishes(config.suite)), config.seed, looks=config.looks)
    images, asked, places = (np.concatenate([part[i] for part in parts])[: config.scenes] for i in (0, 1, 2))
    save_grounding(config.out, facts, images, asked, places)
    print(f"{config.out}: {len(images)} scenes of {len(tasks_named(config.suite))} tasks, {len(facts.wishes)} wishes")
    return 0


def make_scenes(
    config: ScenesConfig, count: int, seed: int, show: bool
) -> tuple[NDArray[np.uint8], NDArray[np.int16], NDArray[np.float32]]:
    """(count, size, size, 3) pictures, (count, K) wishes that can be asked, -1 for none, and (count, K, 4) places of each
    wish's object and target, NaN for none. Tasks take turns in blocks."""
    transform = ImageTransform(config.image_size, config.crop_fraction)
    tasks, wishes = tasks_named(config.suite), _wishes(config.suite)
    most = max(sum(task == name for task, _ in wishes) for name in tasks)
    images = np.zeros((count, config.image_size, config.image_size, 3), np.uint8)
    asked = np.full((count, most), -1, np.int16)
    places = np.full((count, most, 4), np.nan, np.float32)
    rows = iter(track(range(count), "drawing scenes") if show else range(count))
    for name, share in zip(tasks, np.array_split(np.arange(count), len(tasks)), strict=True):
        sim = TabletopSim(name, looks=config.looks)
        poses = _arm_poses(sim, np.random.default_rng([seed, 5]))
        arm_noise = np.array([0.05 * joint.group.endswith("arm") for joint in sim.embodiment.joints])
        numbers = [number for number, (task, _) in enumerate(wishes) if task == name]
        for row in (next(rows) for _ in share):
            rng = np.random.default_rng([seed + row, 3])
            sim.reset(seed + row)
            if rng.random() < _ARM_OVER_TABLE:
                pose = poses[rng.integers(len(poses))]
                sim.place_joints(pose + rng.normal(size=pose.shape) * arm_noise)
            images[row] = transform.centre(transform.view(sim.render()))
            asked[row, : len(numbers)] = numbers
            for column, number in enumerate(numbers):
                sim.ask(wishes[number][1][0])
                places[row, column] = goal_uv(sim)
        sim.close()
    return images, asked, places


def _wishes(suite: str) -> list[tuple[str, tuple[str, ...]]]:
    """Everything that can be asked in a suite: the task and all ways to say it."""
    found = []
    for name in tasks_named(suite):
        task = TASKS[name]()
        for wish in all_wishes(task.slots):
            found.append((name, tuple(template.format(**wish) for template in task.templates)))
    return found


def _arm_poses(sim: TabletopSim, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Poses with one hand over the table, so that arms in view do not surprise the network."""
    expert = make_expert(sim)
    poses = []
    for _ in range(_POSES):
        sim.reset(0)
        side, position = random_reach_targets(rng)
        pose = expert.reach(side, position, seconds=2.0)
        fingers = np.array([joint.group == f"{side}_hand" for joint in sim.embodiment.joints])
        pose[fingers] *= 1 + rng.uniform(0, 8) * (pose[fingers] < 1)
        poses.append(pose)
    return poses
