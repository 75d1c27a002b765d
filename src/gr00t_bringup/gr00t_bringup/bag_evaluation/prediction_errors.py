# SPDX-License-Identifier: Apache-2.0
"""How far predicted chunks are from what was done, by joint group and step ahead, beside two that need no network."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.bag_evaluation.aligned import Aligned, moving_joints, parts

PREDICTORS = ("policy", "hold", "mean")
_Errors = dict[str, NDArray[np.float64]]


def prediction_errors(bags: Sequence[Aligned]) -> dict[str, Any]:
    """<group or 'all'>.{joints, moving, <policy, hold, mean>.{mae_rad, rmse_rad, normalised, and each _by_step}}.

    Over the joints that were moved; a group without any has no numbers. hold: the robot stays at the joint state behind the
    chunk. mean: it stays at the mean of what was done in these bags, which no policy knows beforehand. normalised: RMSE of
    each joint over the deviation of what was done, root mean square over joints: 1 is as good as the mean.
    """
    moving = moving_joints(bags)
    known = np.concatenate([bag.known for bag in bags])
    done = np.concatenate([bag.done for bag in bags])
    if not known.any():
        return {}
    mean, deviation = done[known].mean(axis=0), np.maximum(done[known].std(axis=0), 1e-6)
    predictions = {
        "policy": np.concatenate([bag.predicted for bag in bags]),
        "hold": np.concatenate([bag.held for bag in bags])[:, None],
        "mean": mean,
    }
    errors = {name: predicted - done for name, predicted in predictions.items()}
    result = {}
    for group, part in parts(bags[0].robot).items():
        columns = np.arange(part.start, part.stop)[moving[part]]
        result[group] = {"joints": part.stop - part.start, "moving": len(columns)}
        if len(columns):
            result[group] |= {
                name: _summary(error[..., columns], known, deviation[columns]) for name, error in errors.items()
            }
    return result


def _summary(error: NDArray[np.float64], known: NDArray[np.bool_], deviation: NDArray[np.float64]) -> dict[str, Any]:
    """error (M, T, C), known (M, T), deviation (C,). Steps that no chunk knows are NaN."""
    counted = np.where(known.any(axis=0), known.sum(axis=0), np.nan)
    weight = known[..., None]
    squares, sizes = (error**2 * weight).sum(axis=0), (np.abs(error) * weight).sum(axis=0)  # (T, C)
    total = known.sum()

    def over_joints(squared: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.sqrt((squared / deviation**2).mean(axis=-1))

    return {
        "mae_rad": float(sizes.sum(axis=0).mean() / total),
        "rmse_rad": float(np.sqrt(squares.sum(axis=0).mean() / total)),
        "normalised": float(over_joints(squares.sum(axis=0) / total)),
        "mae_rad_by_step": (sizes.mean(axis=-1) / counted).tolist(),
        "rmse_rad_by_step": np.sqrt(squares.mean(axis=-1) / counted).tolist(),
        "normalised_by_step": over_joints(squares / counted[:, None]).tolist(),
    }
