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
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.data.statistics import Statistics, VideoModality


def statistics_of(datasets: Sequence[LeRobotDataset], embodiment_tag: str, held_out: Sequence[int] = ()) -> Statistics:
    """Read every frame of every dataset but those of episodes ``held_out``.

    Raises DatasetError when they differ in groups or in the order of them.
    """
    if not datasets:
        raise DatasetError("there is no dataset to compute statistics of")
    first = datasets[0]
    for dataset in datasets[1:]:
        if list(_widths(dataset).items()) != list(_widths(first).items()):  # their columns are put below each other
            raise DatasetError(
                f"{dataset.layout.root} has groups {_widths(dataset)}, {first.layout.root} {_widths(first)}"
            )
    both = compute_statistics(lambda: _rows(datasets, held_out))
    state: dict[str, KeyStatistics] = {}
    action: dict[str, KeyStatistics] = {}
    start = 0
    for side, selected in ((state, first.state_groups), (action, first.action_groups)):
        for group, part in selected.items():
            side[group] = both[slice(start, start + part.stop - part.start)]
            start += part.stop - part.start
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


def _rows(datasets: Sequence[LeRobotDataset], held_out: Sequence[int]) -> Iterator[NDArray[np.float32]]:
    """State and action side by side (N, Ds + Da), an episode at a time."""
    for dataset in datasets:
        for entry in dataset.episodes:
            if entry.index not in held_out:
                episode = dataset.episode(entry.index)
                yield np.concatenate([episode.states, episode.actions], axis=1)
