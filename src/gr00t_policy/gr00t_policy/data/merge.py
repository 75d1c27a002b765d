# SPDX-License-Identifier: Apache-2.0
"""Joins finished datasets (the shards of several writer processes) into one, renumbering episodes, frames and tasks."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.columns import as_column, read_rows
from gr00t_policy.data.durable import append_json_line, flush, write_json, written_aside
from gr00t_policy.data.durable_folder import flush_all
from gr00t_policy.data.layout import ANNOTATION, Layout, make_totals
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.data.stored_statistics import stored_statistics
from gr00t_policy.data.writer import require_same_format


def merge_datasets(
    shards: Sequence[str | Path], out: str | Path, notes: Mapping[str, Any] | None = None
) -> LeRobotDataset:
    """Join ``shards`` in the given order into the new folder ``out`` and return it. The shards stay as they are.

    Videos are hard-linked where the file system can, so they take no second space; delete the shards afterwards.
    ``out`` appears only when all is done, and is on the disk on return. notes: further files in ``meta``, name -> what they
    hold as JSON. Raises DatasetError when the shards differ in robot, rate or columns; OSError when the disk is full, and
    leaves nothing then.
    """
    out = Path(out)
    if out.exists():
        raise DatasetError(f"{out} exists already; merge into a new folder")
    if not shards:
        raise DatasetError("there is nothing to merge: no dataset was given")
    datasets = [LeRobotDataset(shard) for shard in shards]
    first = datasets[0]
    for dataset in datasets[1:]:
        require_same_format(first.info, dataset.info, first.layout.info, str(dataset.layout.root))
        if dataset.modality != first.modality:
            raise DatasetError(f"{dataset.layout.modality} differs from {first.layout.modality}; convert one of them")
    partial = out.with_name(f".{out.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _join(datasets, Layout(partial))
        for name, value in (notes or {}).items():
            write_json(partial / "meta" / name, value)
        flush_all(partial)  # also the names of linked videos: who deletes the shards then loses nothing in a power cut
        os.replace(partial, out)
        flush(out.parent)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return LeRobotDataset(out)


def _join(datasets: list[LeRobotDataset], target: Layout) -> None:
    """Episodes go into our own layout whatever the shards' paths are."""
    tasks: dict[str, int] = {}
    episode, frame = 0, 0
    single = {name for name, feature in datasets[0].info["features"].items() if list(feature["shape"]) == [1]}
    for dataset in datasets:
        renumbered = {old: tasks.setdefault(text, len(tasks)) for old, text in sorted(dataset.tasks.items())}
        for entry in dataset.episodes:
            path = dataset.layout.data(entry.index)
            try:
                table = _renumber(pq.read_table(path), episode, frame, renumbered, single)
            except (KeyError, TypeError, ValueError) as error:
                raise DatasetError(f"{path}: a row's task has no text in {dataset.layout.tasks} ({error})") from error
            with written_aside(target.data(episode)) as aside:
                pq.write_table(table, aside, compression="zstd")
            for key in map(dataset.video_key, dataset.cameras):
                _link(dataset.layout.video(entry.index, key), target.video(episode, key))
            line = {"episode_index": episode, "tasks": list(entry.tasks), "length": entry.length, **entry.info}
            append_json_line(target.episodes, line)
            episode, frame = episode + 1, frame + entry.length
    for text, index in tasks.items():
        append_json_line(target.tasks, {"task_index": index, "task": text})
    write_json(target.modality, datasets[0].modality)
    write_json(target.stats, stored_statistics(target, episode, [*map(datasets[0].video_key, datasets[0].cameras)]))
    totals = make_totals(episodes=episode, frames=frame, tasks=len(tasks), cameras=len(datasets[0].cameras))
    paths = {"data_path": target.data_path, "video_path": target.video_path, "chunks_size": target.chunks_size}
    write_json(target.info, {**datasets[0].info, **paths, **totals})


def _renumber(table: pa.Table, episode: int, frame: int, tasks: dict[int, int], single: set[str]) -> pa.Table:
    """single: columns of one value a row; where they are lists of one, as they were written before, they become scalars."""
    count = table.num_rows
    lists = {name for name in single & {*table.column_names} if pa.types.is_nested(table.schema.field(name).type)}
    new: dict[str, Any] = {name: read_rows(table[name]) for name in lists}
    new |= {"episode_index": np.full(count, episode), "index": frame + np.arange(count)}
    for name in table.column_names:
        if name == "task_index" or name.startswith(ANNOTATION):
            new[name] = np.array([tasks[int(old)] for old in table[name].to_numpy()])
    for name, values in new.items():
        table = table.set_column(table.column_names.index(name), name, as_column(values))
    return table


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not source.is_file():
        raise DatasetError(f"{source} is missing; write that shard again")
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
        flush(target)
