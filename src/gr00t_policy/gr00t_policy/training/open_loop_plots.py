# SPDX-License-Identifier: Apache-2.0
"""Pictures of an open-loop evaluation: joint curves with the predicted chunks over the record, error over the horizon."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.training.open_loop import PREDICTORS, EpisodeTrace

_COLOURS = {"policy": "tab:red", "hold": "tab:blue", "mean": "tab:gray"}


def draw_group(trace: EpisodeTrace, robot: Embodiment, group: str, picture: Path) -> None:
    """One panel a joint: recorded action black, recorded state blue, chunks red. One chunk starts where the last ended."""
    from matplotlib import pyplot

    part = robot.policy_slices[group]
    columns = range(part.start, part.stop)
    figure, axes = pyplot.subplots(len(columns), 1, figsize=(11, 1.5 * len(columns) + 1), sharex=True, squeeze=False)
    shown = _end_to_end(trace)
    for axis, column in zip(axes[:, 0], columns, strict=True):
        axis.plot(trace.states[:, column], color="tab:blue", linewidth=0.8, label="recorded state")
        axis.plot(trace.actions[:, column], color="black", linewidth=1.2, label="recorded action")
        for row in shown:
            steps = np.arange(trace.known.shape[1])[trace.known[row]]
            label = "predicted chunk" if row == shown[0] else None
            axis.plot(
                trace.starts[row] + steps, trace.predicted[row, steps, column], color="tab:red", lw=1.0, label=label
            )
            axis.plot(trace.starts[row], trace.predicted[row, 0, column], ".", color="tab:red", markersize=4)
        axis.set_title(robot.policy_joints[column].name, fontsize=8, loc="left", pad=2)
        axis.grid(alpha=0.3)
    axes[0, 0].legend(loc="upper right", fontsize=7, ncols=3)
    axes[-1, 0].set_xlabel(f"frame at {robot.rate_hz:g} Hz")
    figure.supylabel("joint value in the units of the recording (arms: rad)", fontsize=8)
    figure.suptitle(f"episode {trace.index}, {group}: “{trace.task}”", fontsize=10)
    _save(figure, picture)


def draw_errors(scores: Mapping[str, Any], period_s: float, picture: Path) -> None:
    """Mean absolute error over the horizon, one panel a joint group."""
    from matplotlib import pyplot

    groups = scores["groups"]
    figure, axes = pyplot.subplots(1, len(groups), figsize=(3.2 * len(groups), 3.2), squeeze=False)
    for axis, (group, entry) in zip(axes[0], groups.items(), strict=True):
        for name in PREDICTORS:
            errors = np.asarray(entry[name]["mae_by_step"], float)
            axis.plot((np.arange(len(errors)) + 1) * period_s, errors, ".-", color=_COLOURS[name], label=name)
        axis.set_title(group, fontsize=9)
        axis.set_xlabel("time ahead [s]")
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel("mean absolute error\n(as recorded; arms in rad)")
    axes[0, 0].legend(fontsize=8)
    _save(figure, picture)


def _end_to_end(trace: EpisodeTrace) -> list[int]:
    """Chunks that follow one another without overlap, as far as they were predicted."""
    horizon = trace.predicted.shape[1]
    shown: list[int] = []
    for row, start in enumerate(trace.starts):
        if not shown or start >= trace.starts[shown[-1]] + horizon:
            shown.append(row)
    return shown


def _save(figure: Any, picture: Path) -> None:
    from matplotlib import pyplot

    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(picture, dpi=110)
    pyplot.close(figure)
