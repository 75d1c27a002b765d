# SPDX-License-Identifier: Apache-2.0
"""What a resume point notes of the data it learnt from, so that weights of one normalisation never get another's statistics."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.reader import Episode
from gr00t_policy.data.row_digest import rows_digest
from gr00t_policy.data.statistics import Statistics

ANEW = "use another --out, or remove it to start again"
_ROWS, _STATISTICS = "rows", "statistics"
# The sums of another processor differ in their last digits; a correction of the data does in its first ones.
_SHARE, _LEAST = 1e-6, 1e-9


def noted_data(learnt: Sequence[Episode], statistics: Statistics) -> dict[str, Any]:
    """Plain data of the episodes that are learnt from and of what they are normalised by."""
    return {_ROWS: rows_digest(learnt), _STATISTICS: statistics.to_dict()["statistics"]}


def require_noted(before: Mapping[str, Any], now: Mapping[str, Any], *, all_valid: bool = True) -> str:
    """Both as of ``noted_data``; what could not be told, for people ("" = nothing), of runs that noted neither.

    all_valid: whether all rows may be imitated. Raises ConfigError when rows or statistics are others.
    """
    if _ROWS not in before and not all_valid:
        raise ConfigError(
            "the run in this folder is of an older version, which normalised actions also by rows that are not to be imitated: "
            f"its weights are in other units; finish it with that version, or {ANEW}"
        )
    if _ROWS not in before:
        return (
            "the resume point is of an older version and does not say from which rows it learnt: whether the datasets were "
            "changed since cannot be checked"
        )
    if before[_ROWS] != now[_ROWS]:
        raise ConfigError(
            "the run in this folder learnt from other rows: states, actions, sentences, labels or marks of validity in its "
            f"datasets were changed since, and its weights are in the units of the old ones; {ANEW}"
        )
    if other := _differing(before[_STATISTICS], now[_STATISTICS]):
        raise ConfigError(
            f"the run in this folder normalises {other} by other statistics than this start: the checkpoint that it began "
            f"from, or this program, was changed since; {ANEW}"
        )
    return ""


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The first group with other numbers, as "state.waist"; "" when there is none."""
    for side in now:
        for group in dict.fromkeys([*now[side], *before[side]]):
            one, other = before[side].get(group, {}), now[side].get(group, {})
            same = one.keys() == other.keys() and all(_close(one[name], other[name]) for name in one)
            if not same:
                return f"{side}.{group}"
    return ""


def _close(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and np.allclose(one, other, rtol=_SHARE, atol=_LEAST)
