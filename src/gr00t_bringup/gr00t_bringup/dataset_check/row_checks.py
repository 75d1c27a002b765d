# SPDX-License-Identifier: Apache-2.0
"""The rows of one episode: times against the rate, repeated rows, numbers that are none, indices, the sentence."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.dataset_check.data_finding import DataFinding
from gr00t_policy.data.dataset import EpisodeEntry, LeRobotDataset
from gr00t_policy.data.layout import ACTION, ANNOTATION, STATE

Columns = dict[str, NDArray[Any]]
_JITTER = 0.02  # of a frame: what ``LeRobotDataset.validate`` allows
_GAP = 1.5  # frames: from here on at least one is missing
_OTHER_RATE = 0.1  # share by which a step must differ to belong to another rate, and share of such steps to be one
_STILL_RAD = 1e-3  # a joint that moves less between two frames stands
_REPEATED_SHARE, _WRONG_SHARE = 0.02, 0.1
_FROZEN_S = 0.25


def row_findings(dataset: LeRobotDataset, entry: EpisodeEntry, columns: Columns) -> Iterator[DataFinding]:
    """columns: as ``LeRobotDataset.stored_columns`` gives them."""
    count = len(next(iter(columns.values()), ()))
    if count != entry.length:
        yield DataFinding(
            "error", "files", f"{count} rows, episodes.jsonl says {entry.length}",
            "write the episode again, or remove it", entry.index, "data", {"rows": count, "length": entry.length},
        )  # fmt: skip
    for column in (STATE, ACTION, "timestamp", dataset.language_column):
        if column not in columns:
            yield DataFinding(
                "error", "files", "the column is missing or holds no numbers", "write the episode again",
                entry.index, column,
            )  # fmt: skip
    for name, values in columns.items():
        yield from _not_finite(entry.index, name, values)
    if count == 0:
        return
    if "timestamp" in columns and np.isfinite(columns["timestamp"]).all():
        yield from time_findings(np.asarray(columns["timestamp"], np.float64).ravel(), dataset.fps, entry.index)
    yield from _repeated(columns, dataset.fps, entry.index)
    yield from _indices(columns, entry)
    yield from _sentence(dataset, entry, columns)
    yield from _other_tasks(dataset, entry, columns)


def time_findings(times_s: NDArray[np.float64], fps: float, episode: int) -> Iterator[DataFinding]:
    """What is wrong with finite timestamps (N,) of an episode recorded at ``fps``."""
    if abs(times_s[0]) * fps > 0.5:
        yield DataFinding(
            "warning", "rate", f"the first row is at {times_s[0]:.3f} s, {times_s[0] * fps:.1f} frames after the video's first",
            "readers that look up pictures by time see others than those that count; subtract it from the column",
            episode, "timestamp", {"start_s": float(times_s[0])},
        )  # fmt: skip
    steps = np.diff(times_s) * fps  # in frames
    if len(steps) == 0:
        return
    back = np.flatnonzero(steps <= 0)
    if len(back):
        yield DataFinding(
            "error", "rate", f"{len(back)} rows are not later than the one before, first row {back[0] + 1}",
            "drop the repeated rows and pictures, or record again", episode, "timestamp",
            {"count": len(back), "frame": int(back[0]) + 1},
        )  # fmt: skip
    usual = float(np.median(steps))
    if usual <= 0:
        return
    if abs(usual - 1) > _JITTER:
        yield DataFinding(
            "error", "rate", f"rows are {fps / usual:.4g} Hz, info.json says {fps:g}",
            "correct fps in info.json, or resample", episode, "timestamp", {"rate_hz": fps / usual, "fps": fps},
        )  # fmt: skip
    relative = steps[steps > 0] / usual
    other = relative[np.abs(relative - 1) > _OTHER_RATE]
    gaps = np.flatnonzero(steps > _GAP * usual)
    if len(other) >= max(_OTHER_RATE * len(steps), 2):
        second = fps / usual / float(np.median(other))
        yield DataFinding(
            "error", "rate", f"mixed rates: {len(other)} of {len(steps)} steps are near {second:.4g} Hz",
            "resample the episode to one rate", episode, "timestamp", {"steps": len(other), "second_rate_hz": second},
        )  # fmt: skip
    elif len(gaps):
        worst = int(gaps[steps[gaps].argmax()])
        yield DataFinding(
            "error", "gap", f"{len(gaps)} gaps, the longest {steps[worst] / fps:.3f} s after row {worst}",
            "cut the episode there: actions across a gap were never done", episode, "timestamp",
            {"count": len(gaps), "longest_s": float(steps[worst]) / fps, "frame": worst},
        )  # fmt: skip
    elif len(relative) and np.abs(relative - 1).max() > _JITTER:
        yield DataFinding(
            "warning", "rate", f"steps vary from {relative.min():.2f} to {relative.max():.2f} frames",
            "resample to the fps of info.json", episode, "timestamp",
            {"shortest_frames": float(relative.min()), "longest_frames": float(relative.max())},
        )  # fmt: skip


def _not_finite(episode: int, name: str, values: NDArray[Any]) -> Iterator[DataFinding]:
    if not np.issubdtype(values.dtype, np.floating):
        return
    wrong = np.argwhere(~np.isfinite(values.reshape(len(values), -1)))
    if len(wrong):
        places = sorted({int(dim) for _, dim in wrong})
        yield DataFinding(
            "error", "finite", f"{len(wrong)} NaN or infinite values, first row {wrong[0, 0]}, in value(s) {_few(places)}",
            "cut those rows off or remove the episode", episode, name,
            {"count": len(wrong), "frame": int(wrong[0, 0])},
        )  # fmt: skip


def _repeated(columns: Columns, fps: float, episode: int) -> Iterator[DataFinding]:
    """Rows equal to the one before although there was motion around them; a state that stays while actions go on."""
    for name in (STATE, ACTION):
        if name not in columns or len(columns[name]) < 4:
            continue
        steps = np.abs(np.diff(columns[name].reshape(len(columns[name]), -1).astype(np.float64), axis=0)).max(axis=1)
        same, moved = steps == 0, steps > _STILL_RAD
        beside = np.zeros_like(moved)
        beside[1:] |= moved[:-1]
        beside[:-1] |= moved[1:]
        repeated = np.flatnonzero(same & beside)
        share = len(repeated) / len(steps)
        if share > _REPEATED_SHARE:
            yield DataFinding(
                "error" if name == STATE and share >= _WRONG_SHARE else "warning", "repeated rows",
                f"{share:.0%} of the rows repeat the one before in the midst of motion, first row {repeated[0] + 1}",
                "the source is slower than fps: record at its rate, or resample", episode, name,
                {"share": share, "frame": int(repeated[0]) + 1},
            )  # fmt: skip
        if name == STATE and ACTION in columns:
            yield from _frozen(same, columns[ACTION], fps, episode)


def _frozen(same: NDArray[np.bool_], actions: NDArray[Any], fps: float, episode: int) -> Iterator[DataFinding]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], same.astype(np.int8), [0]])))
    for start, stop in edges.reshape(-1, 2):
        asked = np.ptp(actions[start : stop + 1].astype(np.float64), axis=0).max()
        if (stop - start) / fps >= _FROZEN_S and asked > 10 * _STILL_RAD:
            yield DataFinding(
                "error", "repeated rows", f"the state does not change for {(stop - start) / fps:.2f} s from row {start} on, "
                "while the actions do", "joint states were lost there: cut or remove the episode", episode, STATE,
                {"frame": int(start), "frames": int(stop - start)},
            )  # fmt: skip
            return


def _indices(columns: Columns, entry: EpisodeEntry) -> Iterator[DataFinding]:
    count = len(next(iter(columns.values())))
    first = columns.get("index", np.zeros(1)).reshape(-1)[0]
    expected = {
        "episode_index": np.full(count, entry.index),
        "frame_index": np.arange(count),
        "index": first + np.arange(count),
    }
    for name, right in expected.items():
        if name in columns and not np.array_equal(columns[name], right):
            row = int(np.argmax(columns[name].reshape(count, -1)[:, 0] != right))
            yield DataFinding(
                "error" if name == "episode_index" else "warning", "index",
                f"row {row} says {columns[name].reshape(count, -1)[row, 0]}, expected {right[row]}",
                "rows are lost, doubled or of another episode: write the episode again", episode=entry.index,
                column=name, numbers={"frame": row},
            )  # fmt: skip


def _sentence(dataset: LeRobotDataset, entry: EpisodeEntry, columns: Columns) -> Iterator[DataFinding]:
    name = dataset.language_column
    numbers = np.unique(columns[name]) if name in columns else np.zeros(0)
    unknown = [number for number in numbers.tolist() if number not in dataset.tasks]
    if unknown:
        yield DataFinding(
            "error", "sentence", f"task {_few(unknown)} has no text in tasks.jsonl", "add its line to meta/tasks.jsonl",
            entry.index, name, {"task_index": float(unknown[0])},
        )  # fmt: skip
        return
    texts = [dataset.tasks[int(number)] for number in numbers]
    if any(not text.strip() for text in texts):
        yield DataFinding(
            "error", "sentence", "the sentence is empty", "write what is done into meta/tasks.jsonl", entry.index, name
        )
    if len(texts) > 1:
        yield DataFinding(
            "warning", "sentence", f"{len(texts)} different sentences, each row has its own; chunks reach over the change",
            "cut the episode where the task changes", entry.index, name, {"sentences": len(texts)},
        )  # fmt: skip
    elif texts and texts[0] not in entry.tasks:
        yield DataFinding(
            "warning", "sentence", f"'{texts[0][:60]}' is not among the tasks of its line in episodes.jsonl",
            "one of the two is wrong; the column counts", entry.index, name,
        )  # fmt: skip


def _other_tasks(dataset: LeRobotDataset, entry: EpisodeEntry, columns: Columns) -> Iterator[DataFinding]:
    """Numbers of tasks beside the one that is the sentence: ours do not read them."""
    names = [name for name in columns if name == "task_index" or name.startswith(ANNOTATION)]
    for name in names:
        numbers = np.unique(columns[name])
        unknown = [number for number in numbers[np.isfinite(numbers)].tolist() if number not in dataset.tasks]
        if unknown and name != dataset.language_column:
            yield DataFinding(
                "warning", "sentence", f"task {_few(unknown)} has no text in tasks.jsonl; LeRobot stops there",
                "add its line to meta/tasks.jsonl", entry.index, name, {"task_index": float(unknown[0])},
            )  # fmt: skip


def _few(values: list[Any]) -> str:
    return ", ".join(map(str, values[:4])) + (f" and {len(values) - 4} more" if len(values) > 4 else "")
