# SPDX-License-Identifier: Apache-2.0
"""Reads the source demonstrations: a LeRobot dataset of one simulator task, with the seed of each episode's scene."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.convert_scene import SEED, SIM_TASK
from gr00t_policy.data.meta import EpisodeEntry
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.data.valid_rows import VALID
from gr00t_sim.recording import PERIOD_S
from gr00t_sim.tasks.registry import TASKS, make_task


@dataclass(frozen=True)
class RecordedEpisode:
    """One demonstration as recorded at 20 Hz: states and actions (N, 29) policy joints [rad], valid (N,)."""

    index: int
    seed: int
    sentence: str
    states: NDArray[np.float32]
    actions: NDArray[np.float32]
    valid: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.states)


def read_source(folder: Path, embodiment: Embodiment, task: str | None = None) -> tuple[str, list[RecordedEpisode]]:
    """The task and the episodes of a dataset. task: what it must be, or is where the dataset does not say.

    Raises DatasetError when the dataset is empty, of another robot or rate, of several tasks or another one, or does not
    say its scenes' seeds.
    """
    if not (folder / "meta" / "info.json").is_file():
        raise DatasetError(f"{folder} is no dataset: it has no meta/info.json; `gr00t sim generate` writes one")
    dataset = LeRobotDataset(folder, groups=list(embodiment.policy_slices))
    robot = dataset.info.get("robot_type")
    if robot != embodiment.name:
        raise DatasetError(f"{folder} is of robot '{robot}', the simulator has '{embodiment.name}'")
    if abs(dataset.fps * PERIOD_S - 1) > 1e-6:
        raise DatasetError(f"{folder} has {dataset.fps:g} rows a second, the simulator replays {1 / PERIOD_S:g}")
    found = _task_of(dataset, task)
    return found, [_episode(dataset, entry) for entry in dataset.episodes]


def _episode(dataset: LeRobotDataset, entry: EpisodeEntry) -> RecordedEpisode:
    seed = entry.info.get(SEED)
    if type(seed) is not int or seed < 0:
        raise DatasetError(
            f"{dataset.layout.episodes}: episode {entry.index} does not say the seed of its scene, so it cannot be replayed; "
            "only demonstrations recorded in the simulator, in one scene each and with sim/task_state, can be multiplied"
        )
    episode = dataset.episode(entry.index)
    valid = episode.extras.get(VALID, np.ones(len(episode)))
    return RecordedEpisode(
        entry.index, seed, episode.sentences[0], episode.states, episode.actions, valid.reshape(len(episode)) > 0
    )


def _task_of(dataset: LeRobotDataset, wanted: str | None) -> str:
    if wanted is not None:
        make_task(wanted)
    said = {str(entry.info[SIM_TASK]) for entry in dataset.episodes if SIM_TASK in entry.info}
    where = dataset.layout.root
    if len(said) > 1:
        raise DatasetError(f"{where} mixes the tasks {', '.join(sorted(said))}; multiply them one by one")
    if said:
        task = said.pop()
        if wanted not in (None, task):
            raise DatasetError(f"{where} holds demonstrations of '{task}', not of '{wanted}'")
        make_task(task)
        return task
    if wanted is not None:
        return wanted
    sentences = {text for entry in dataset.episodes for text in entry.tasks}
    fitting = [name for name in TASKS if all(_says(name, sentence) for sentence in sentences)]
    if len(fitting) != 1:
        what = f"fit the tasks {', '.join(fitting)}" if fitting else "fit no task of the simulator"
        raise DatasetError(f"{where} does not say which task it shows, and its sentences {what}; name it with --task")
    return fitting[0]


def _says(name: str, sentence: str) -> bool:
    """Whether a sentence is one of the task's templates with its blanks filled."""
    task = make_task(name)
    for template in task.templates:
        pattern = re.escape(template)
        for blank, names in task.slots.items():
            pattern = pattern.replace(re.escape(f"{{{blank}}}"), "(?:" + "|".join(map(re.escape, names)) + ")")
        if re.fullmatch(pattern, sentence, re.IGNORECASE):
            return True
    return False
