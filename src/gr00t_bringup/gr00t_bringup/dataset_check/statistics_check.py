# SPDX-License-Identifier: Apache-2.0
"""Whether ``meta/stats.json`` says what the data do: other loaders normalise by it."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.dataset_check.data_finding import DataFinding
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.dataset import LeRobotDataset
from gr00t_policy.data.key_statistics import key_statistics_from_dict, quantile_neighbours
from gr00t_policy.data.meta import read_object
from gr00t_policy.data.stored_statistics import camera_statistics, column_rows, stored_statistics

# Largest difference over the range of the value: files are rounded, and some writers average quantiles of episodes.
_TOLERANCE = {"min": 1e-3, "max": 1e-3, "mean": 1e-3, "std": 1e-3, "q01": 0.02, "q99": 0.02}
_QUANTILES = {"q01": 0.01, "q99": 0.99}
_LEAST_SPAN = 1e-3
_CAMERA_TOLERANCE = 0.1  # of the range of a colour: each writer takes other pictures for its sample
_FIX = "delete meta/stats.json: those who need it compute it again"


def statistics_findings(dataset: LeRobotDataset, *, readable: bool) -> Iterator[DataFinding]:
    """Compare value by value. readable: False when rows are damaged; then there is nothing to compare with."""
    path = dataset.layout.stats
    if not path.is_file():
        yield DataFinding("ok", "statistics", "none stored; training computes them", column="meta/stats.json")
        return
    if not readable:
        yield DataFinding(
            "warning",
            "statistics",
            "not compared: there are damaged rows",
            "mend those first",
            column="meta/stats.json",
        )
        return
    try:
        stored = read_object(path)
        computed = stored_statistics(dataset.layout, len(dataset.episodes), cameras=())
        for column, values in computed.items():
            given = stored.get(column)
            if isinstance(given, dict) and (lacking := [name for name in values if name not in given]):
                # the plain layout of LeRobot v2.0 has no quantiles
                found = f"no {', '.join(lacking)}"
                yield DataFinding(
                    "warning", "statistics", found, "those who train by quantiles need them", column=column
                )
                given = {**given, **{name: values[name] for name in lacking}}
            said = key_statistics_from_dict(given, f"{path}, {column}")
            yield from _compared(dataset, column, said.to_dict(), values)
        for key in map(dataset.video_key, dataset.cameras):
            if key in stored:
                yield from _camera_findings(dataset, key, stored[key])
    except DatasetError as error:
        yield DataFinding("error", "statistics", str(error), _FIX, column="meta/stats.json")


def _camera_findings(dataset: LeRobotDataset, key: str, said: Any) -> Iterator[DataFinding]:
    """Ours do not need those of cameras; LeRobot's trainer does, as three colours between 0 and 1. Videos that cannot be read
    are told by the check of them."""
    try:
        given = {name: np.asarray(said[name], np.float64) for name in ("min", "max", "mean", "std")}
    except (KeyError, TypeError, ValueError):
        yield DataFinding("warning", "statistics", "not numbers min, max, mean and std", _FIX, column=key)
        return
    if any(values.shape != (3, 1, 1) for values in given.values()):
        shapes = ", ".join(str(values.shape) for values in given.values())
        yield DataFinding("warning", "statistics", f"of shape {shapes}, LeRobot has (3, 1, 1)", _FIX, column=key)
        return
    try:
        computed = camera_statistics(dataset.layout, len(dataset.episodes), key)
    except DatasetError:
        return
    for name in ("mean", "std"):
        apart = np.abs(given[name] - np.asarray(computed[name])).max()
        if not apart <= _CAMERA_TOLERANCE:
            found = f"{name} of a colour is {apart:.2g} from that of the pictures"
            yield DataFinding("warning", "statistics", found, _FIX, column=key, numbers={"apart": float(apart)})
            return


def _compared(
    dataset: LeRobotDataset, column: str, said: dict[str, list[float]], values: dict[str, list[float]]
) -> Iterator[DataFinding]:
    if len(said["min"]) != len(values["min"]):
        yield DataFinding(
            "error", "statistics", f"{len(said['min'])} values, the data have {len(values['min'])}", _FIX, column=column
        )
        return
    span = np.maximum(np.subtract(values["max"], values["min"]), _LEAST_SPAN)
    for name, allowed in _TOLERANCE.items():
        apart = np.abs(np.subtract(said[name], values[name])) / span
        if name in _QUANTILES and apart.max() > allowed:
            apart = _beyond_neighbours(dataset, column, name, said, values) / span
        if apart.max() > allowed:
            worst = int(apart.argmax())
            there, here = said[name][worst], values[name][worst]
            found = f"{name} of value {worst} is {there:.4g}, the data give {here:.4g}"
            numbers = {"value": float(worst), "stored": there, "computed": here}
            yield DataFinding("error", "statistics", found, _FIX, column=column, numbers=numbers)
            return


def _beyond_neighbours(
    dataset: LeRobotDataset, column: str, name: str, said: dict[str, list[float]], values: dict[str, list[float]]
) -> NDArray[np.float64]:
    """(d,) How far a quantile is from where any definition of it lies. In few rows the next value may be far away."""
    rows = partial(column_rows, dataset.layout, len(dataset.episodes), column)
    own = key_statistics_from_dict(values, column)
    below, above = quantile_neighbours(rows, own, dataset.num_frames, _QUANTILES[name])
    return np.maximum(np.maximum(below - said[name], said[name] - above), 0)
