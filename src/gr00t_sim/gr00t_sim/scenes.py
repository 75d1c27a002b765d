# SPDX-License-Identifier: Apache-2.0
"""Still scenes, what can be asked in them and where that is, for learning to find what is named: ``gr00t sim scenes``.

Thousands of layouts cost as much to make as a few dozen demonstrations, and localisation needs layouts, not motion.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from gr00t_policy.core.errors import ConfigError, DatasetError
from gr00t_policy.data.grounding import GroundingFacts, load_grounding, make_grounding_folder, save_grounding
from gr00t_policy.data.transforms import ImageTransform
from gr00t_sim.demonstration import random_reach_targets
from gr00t_sim.evaluation.seeds import require_trainable
from gr00t_sim.experts.registry import make_expert
from gr00t_sim.jobs.workers import run_jobs
from gr00t_sim.looks import looks_named
from gr00t_sim.recording import goal_uv
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.tasks.registry import TASKS, tasks_named
from gr00t_sim.tasks.sentences import all_wishes

_POSES = 30
_ARM_OVER_TABLE = 0.7  # share of the scenes
_BLOCK = 100  # scenes drawn at a time: a few MB that travel, and little that is drawn again when a worker dies


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
    """Folder of the set. One that is there is left alone, and refused when it was made otherwise."""
    workers: int = 2
    """Processes; one a core."""

    def __post_init__(self) -> None:
        if self.scenes < 1 or self.workers < 1:
            raise ConfigError(f"scenes and workers must be at least 1, got {self.scenes} and {self.workers}")
        tasks_named(self.suite)
        looks_named(self.looks)
        require_trainable(self.seed, self.scenes)


@dataclass(frozen=True)
class Block:
    """Rows ``first`` and on of a set, all of one task: what a worker draws at a time."""

    task: str
    first: int
    count: int

    def __str__(self) -> str:
        return f"scenes {self.first} to {self.first + self.count - 1}, of {self.task}"


@dataclass(frozen=True)
class DrawnBlock:
    """images (N, size, size, 3) uint8; asked (N, K) wishes that can be asked, -1 for none; places (N, K, 4) of each wish's
    object and target, NaN for none."""

    block: Block
    images: NDArray[np.uint8]
    asked: NDArray[np.int16]
    places: NDArray[np.float32]


def run(config: ScenesConfig) -> int:
    """Make the set unless it is there; the same one whichever worker draws what. Returns the exit code.

    Raises DatasetError when another set is there or it cannot be written, WorkerError when workers die again and again.
    """
    if (config.out / "grounding.json").is_file():
        _require_same(config)
        print(f"{config.out} exists; remove it to make it again")
        return 0
    make_grounding_folder(config.out)
    drawn = _empty(config, Block("", 0, config.scenes))
    with Progress() as progress:
        bar = progress.add_task("drawing scenes", total=config.scenes)

        def finished(part: DrawnBlock) -> None:
            rows = slice(part.block.first, part.block.first + part.block.count)
            drawn.images[rows], drawn.asked[rows], drawn.places[rows] = part.images, part.asked, part.places
            progress.advance(bar, part.block.count)

        def died(lost: Sequence[Block]) -> None:
            progress.console.print(f"a worker died; drawn again: {' | '.join(map(str, lost))}")

        run_jobs(blocks(config), partial(draw_block, config), config.workers, finished, died, keeps=False)
    facts = GroundingFacts(
        _said(config.suite), config.seed, looks=config.looks, suite=config.suite, crop_fraction=config.crop_fraction
    )
    save_grounding(config.out, facts, drawn.images, drawn.asked, drawn.places)
    print(f"{config.out}: {config.scenes} scenes of {len(tasks_named(config.suite))} tasks, {len(facts.wishes)} wishes")
    return 0


def blocks(config: ScenesConfig) -> list[Block]:
    """All rows of a set: its tasks one after another, as evenly as can be."""
    tasks = tasks_named(config.suite)
    ends = np.cumsum([len(share) for share in np.array_split(np.arange(config.scenes), len(tasks))]).tolist()
    return [
        Block(task, first, min(_BLOCK, end - first))
        for task, begin, end in zip(tasks, [0, *ends], ends, strict=False)
        for first in range(begin, end, _BLOCK)
    ]


def draw_block(config: ScenesConfig, block: Block) -> DrawnBlock:
    """In a worker process: scene i of the set has seed ``config.seed`` + i."""
    drawn = _empty(config, block)
    transform = ImageTransform(config.image_size, config.crop_fraction)
    sim, poses = _posed(block.task, config.looks, config.seed)
    arm_noise = np.array([0.05 * joint.group.endswith("arm") for joint in sim.embodiment.joints])
    wishes = [(number, said) for number, (task, said) in enumerate(_wishes(config.suite)) if task == block.task]
    for row, seed in enumerate(range(config.seed + block.first, config.seed + block.first + block.count)):
        rng = np.random.default_rng([seed, 3])
        sim.reset(seed)
        if rng.random() < _ARM_OVER_TABLE:
            pose = poses[rng.integers(len(poses))]
            sim.place_joints(pose + rng.normal(size=pose.shape) * arm_noise)
        drawn.images[row] = transform.centre(transform.view(sim.render()))
        for column, (number, said) in enumerate(wishes):
            sim.ask(said[0])
            drawn.asked[row, column], drawn.places[row, column] = number, goal_uv(sim)
    return drawn


_made: dict[tuple[str, str, int], tuple[TabletopSim, list[NDArray[np.float64]]]] = {}


def _posed(task: str, looks: str, seed: int) -> tuple[TabletopSim, list[NDArray[np.float64]]]:
    """This process's simulator, one at a time, and the set's poses in it: the same in every worker."""
    key = (task, looks, seed)
    if key not in _made:
        for sim, _ in _made.values():
            sim.close()
        _made.clear()
        sim = TabletopSim(task, looks=looks)
        _made[key] = (sim, _arm_poses(sim, np.random.default_rng([seed, 5])))
    return _made[key]


def _empty(config: ScenesConfig, block: Block) -> DrawnBlock:
    tasks = [task for task, _ in _wishes(config.suite)]
    most = max(tasks.count(task) for task in tasks)
    return DrawnBlock(
        block,
        np.zeros((block.count, config.image_size, config.image_size, 3), np.uint8),
        np.full((block.count, most), -1, np.int16),
        np.full((block.count, most, 4), np.nan, np.float32),
    )


def _require_same(config: ScenesConfig) -> None:
    """Raises DatasetError naming all in which the set that is there differs from what is asked for now.

    Sets made before they said their suite and crop are compared by what is said in them, and by the rest.
    """
    there = load_grounding(config.out)
    facts = there.facts
    same_said = facts.wishes == _said(config.suite)
    pairs: dict[str, tuple[object, object]] = {
        "suite": (facts.suite or (config.suite if same_said else "another"), config.suite),
        "seed": (facts.seed, config.seed),
        "scenes": (len(there), config.scenes),
        "image_size": (there.images.shape[1], config.image_size),
        "looks": (facts.looks, config.looks),
    }
    if facts.crop_fraction is not None:
        pairs["crop_fraction"] = (facts.crop_fraction, config.crop_fraction)
    if differing := [
        f"{name}: {found} there, {asked} asked for" for name, (found, asked) in pairs.items() if found != asked
    ]:
        raise DatasetError(
            f"{config.out} holds scenes made otherwise ({'; '.join(differing)}); remove the folder or use another --out"
        )


def _said(suite: str) -> tuple[tuple[str, ...], ...]:
    return tuple(said for _, said in _wishes(suite))


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
