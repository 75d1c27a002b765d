# SPDX-License-Identifier: Apache-2.0
"""The data pyramid as one YAML: which datasets, of which robot, how much of each, what is held out. Opens no dataset."""

import math
import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.json_file import read_text, shown

PERCENTILES = ("weighted_average", "min_max")


@dataclass(frozen=True)
class MixtureEntry:
    """One dataset of the mixture. Raises ConfigError.

    path: LeRobot folder. embodiment: a shipped name or a YAML file. weight: how often it is drawn compared with others,
    0 = only for its statistics. hold_out: episodes that are never drawn and not in the statistics.
    """

    name: str
    path: Path
    embodiment: str
    weight: float = 1.0
    hold_out: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and 0 <= self.weight <= 1e9):
            raise ConfigError(f"dataset '{self.name}': weight must be a number from 0, got {shown(self.weight)}")
        if len(set(self.hold_out)) != len(self.hold_out) or any(episode < 0 for episode in self.hold_out):
            raise ConfigError(
                f"dataset '{self.name}': hold_out must list different episodes from 0, got {shown(self.hold_out)}"
            )


@dataclass(frozen=True)
class MixtureConfig:
    """What is drawn how often. Raises ConfigError. Names and defaults are those of GR00T N1.5's mixtures.

    balance_dataset_weights: weights count per frame: a dataset of twice the size is drawn twice as often.
    balance_trajectory_weights: an episode of twice the length is drawn twice as often; otherwise all alike.
    percentile_mixing_method: q01 and q99 of datasets together: "weighted_average", or "min_max" for the outermost.
    """

    datasets: tuple[MixtureEntry, ...]
    balance_dataset_weights: bool = True
    balance_trajectory_weights: bool = True
    percentile_mixing_method: str = PERCENTILES[0]

    def __post_init__(self) -> None:
        if not any(entry.weight > 0 for entry in self.datasets):
            raise ConfigError("a mixture needs at least one dataset with a weight above 0")
        places: dict[str, str] = {}
        for entry in self.datasets:
            place = os.path.realpath(
                entry.path
            )  # by another spelling or a link, what one holds out the other would draw
            if place in places:
                raise ConfigError(
                    f"datasets '{places[place]}' and '{entry.name}' are both {place}; list it once, with its weight"
                )
            places[place] = entry.name
        if self.percentile_mixing_method not in PERCENTILES:
            given = shown(self.percentile_mixing_method)
            raise ConfigError(f"percentile_mixing_method {given} is unknown; known: {', '.join(PERCENTILES)}")


def load_mixture_config(path: str | Path) -> MixtureConfig:
    """Read the YAML; relative paths in it are seen from its folder. Raises ConfigError, also for unknown keys."""
    path = Path(path)
    text = read_text(path, ConfigError, "give the YAML file of a mixture; docs/datasets.md has an example")
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, OverflowError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    return mixture_config_from_dict(data, str(path), path.parent)


def mixture_config_from_dict(data: Any, where: str = "mixture", folder: Path = Path()) -> MixtureConfig:
    """Build from plain data, refusing unknown and missing keys. folder: from which relative paths are seen."""
    values = _known(data, MixtureConfig, where)
    datasets = values["datasets"]
    if not isinstance(datasets, dict):
        raise ConfigError(f"{where}: datasets must map a name to path, embodiment, weight; got {shown(datasets)}")
    entries = tuple(_entry(name, entry, where, folder) for name, entry in datasets.items())
    for key in ("balance_dataset_weights", "balance_trajectory_weights"):
        if not isinstance(values.get(key, True), bool):
            raise ConfigError(f"{where}: {key} must be true or false, got {shown(values[key])}")
    if not isinstance(values.get("percentile_mixing_method", ""), str):
        raise ConfigError(f"{where}: percentile_mixing_method must be one of {', '.join(PERCENTILES)}")
    try:
        return MixtureConfig(**{**values, "datasets": entries})
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _entry(name: Any, data: Any, where: str, folder: Path) -> MixtureEntry:
    if not isinstance(name, str) or not name.strip():
        raise ConfigError(f"{where}: {shown(name)} is no name of a dataset")
    place = f"{where}, dataset '{name}'"
    values = _known(data, MixtureEntry, place, given={"name": name})
    path, embodiment, weight = values["path"], values["embodiment"], values.get("weight", 1.0)
    hold_out = values.get("hold_out", [])
    for key, value in (("path", path), ("embodiment", embodiment)):
        if not isinstance(value, str) or not value or not value.isprintable():
            raise ConfigError(f"{place}: {key} must be a text, got {shown(value)}")
    if type(weight) not in (int, float) or (type(weight) is int and abs(weight) > 10**9):
        raise ConfigError(f"{place}: weight must be a number from 0, got {shown(weight)}")
    if not isinstance(hold_out, list) or any(type(episode) is not int for episode in hold_out):
        raise ConfigError(f"{place}: hold_out must be a list of episode numbers, got {shown(hold_out)}")
    robot = str(folder / embodiment) if embodiment.endswith((".yaml", ".yml")) else embodiment
    try:
        return MixtureEntry(name, folder / path, robot, float(weight), tuple(hold_out))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _known(data: Any, kind: type, where: str, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """``data`` as the fields of ``kind``. given: fields that come from elsewhere and must not be in ``data``."""
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: expected a mapping, got {type(data).__name__}")
    items = [item for item in fields(kind) if item.name not in (given or {})]
    known = [item.name for item in items]
    unknown = [key for key in data if key not in known]
    if unknown:
        raise ConfigError(f"{where}: unknown key {shown(unknown[0])}; known: {', '.join(known)}")
    missing = [item.name for item in items if item.default is MISSING and item.name not in data]
    if missing:
        raise ConfigError(f"{where}: {', '.join(missing)} missing; keys: {', '.join(known)}")
    return {**data, **(given or {})}
