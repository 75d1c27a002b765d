# SPDX-License-Identifier: Apache-2.0
"""Statistics of one or several datasets taken together, per joint group, as a checkpoint keeps them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.key_statistics import KeyStatistics, compute_statistics, key_statistics_from_dict
from gr00t_policy.data.layout import ACTION, STATE
from gr00t_policy.data.meta import key_modality, read_modality, read_object
from gr00t_policy.data.reader import Episode, LeRobotDataset
from gr00t_policy.data.statistics import Statistics, VideoModality
from gr00t_policy.data.valid_rows import VALID, valid_rows


def statistics_of(datasets: Sequence[LeRobotDataset], embodiment_tag: str, held_out: Sequence[int] = ()) -> Statistics:
    """Read every frame of every dataset but those of episodes ``held_out``; actions where they are to be imitated.

    Raises DatasetError when they differ in groups or in the order of them, or nothing in them is to be imitated.
    """
    if not datasets:
        raise DatasetError("there is no dataset to compute statistics of")
    first = datasets[0]
    for dataset in datasets[1:]:
        if list(_widths(dataset).items()) != list(_widths(first).items()):  # their columns are put below each other
            raise DatasetError(
                f"{dataset.layout.root} has groups {_widths(dataset)}, {first.layout.root} {_widths(first)}"
            )
    states, actions = _both_sides(datasets, held_out)
    state, action = _by_group(states, first.state_groups), _by_group(actions, first.action_groups)
    video = {camera: VideoModality((width, height), fps=first.fps) for camera, (height, width) in first.cameras.items()}
    kinds = {side: first.kinds(side) for side in ("state", "action")}
    return Statistics(embodiment_tag, state, action, video, kinds)


def published_statistics(meta: Path, embodiment_tag: str) -> Statistics:
    """Those that others computed: stats.json cut into groups by modality.json, both in the folder ``meta``; no cameras.

    Raises DatasetError.
    """
    modality, stats = read_modality(meta / "modality.json"), read_object(meta / "stats.json")
    sides: dict[str, dict[str, KeyStatistics]] = {"state": {}, "action": {}}
    for side, column in (("state", STATE), ("action", ACTION)):
        whole = key_statistics_from_dict(stats.get(column), f"{meta / 'stats.json'}, {column}")
        for group, entry in modality.get(side, {}).items():
            start, end = entry.get("start"), entry.get("end")
            if not (type(start) is int and type(end) is int and 0 <= start < end <= len(whole.min)):
                raise DatasetError(f"{meta / 'modality.json'}: {side}.{group} does not lie in {len(whole.min)} values")
            sides[side][group] = whole[start:end]
    kinds = {side: {group: key_modality(modality[side][group]) for group in sides[side]} for side in sides}
    return Statistics(embodiment_tag, sides["state"], sides["action"], kinds=kinds)


def _widths(dataset: LeRobotDataset) -> dict[str, int]:
    sides = {"state": dataset.state_groups, "action": dataset.action_groups}
    return {
        f"{side}.{group}": part.stop - part.start for side, groups in sides.items() for group, part in groups.items()
    }


def _by_group(side: KeyStatistics, groups: dict[str, slice]) -> dict[str, KeyStatistics]:
    """side: of the groups' columns, one group after the other."""
    found, start = {}, 0
    for group, part in groups.items():
        found[group] = side[start : start + part.stop - part.start]
        start += part.stop - part.start
    return found


def _both_sides(datasets: Sequence[LeRobotDataset], held_out: Sequence[int]) -> tuple[KeyStatistics, KeyStatistics]:
    """Of all states, for the robot is seen there, and of the actions that may be learnt: what a bad policy commanded before an
    expert took over would only narrow the room of those."""

    def episodes() -> Iterator[Episode]:
        for dataset in datasets:
            for entry in dataset.episodes:
                if entry.index not in held_out:
                    yield dataset.episode(entry.index)

    def imitated() -> Iterator[NDArray[np.float32]]:
        for episode in episodes():
            if not np.isfinite(episode.actions).all():  # masked it would still be NaN in the loss
                raise DatasetError(
                    f"actions of episode {episode.index} hold NaN or infinity; remove it or write it again"
                )
            yield episode.actions[valid_rows(episode)]

    if any(VALID in dataset.extra_columns for dataset in datasets):
        if not any(valid_rows(episode).any() for episode in episodes()):
            roots = ", ".join(str(dataset.layout.root) for dataset in datasets)
            raise DatasetError(f"nothing can be learnt from {roots}: none of their rows is valid")
        return compute_statistics(lambda: (episode.states for episode in episodes())), compute_statistics(imitated)
    width = sum(part.stop - part.start for part in datasets[0].state_groups.values())
    both = compute_statistics(lambda: (np.concatenate([one.states, one.actions], axis=1) for one in episodes()))
    return both[slice(0, width)], both[slice(width, len(both.min))]
