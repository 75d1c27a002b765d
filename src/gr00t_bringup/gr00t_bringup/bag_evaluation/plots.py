# SPDX-License-Identifier: Apache-2.0
"""Pictures of an evaluation by bags: error over the steps ahead, joint curves, what the policy attends to."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from gr00t_bringup.bag_evaluation.aligned import Aligned, moving_joints
from gr00t_bringup.bag_evaluation.prediction_errors import PREDICTORS
from gr00t_bringup.bag_evaluation.sensitivity import Sensitivity

_COLOURS = {"policy": "tab:red", "hold": "tab:blue", "mean": "tab:gray"}
_S_NS = 1_000_000_000


def error_figure(errors: Mapping[str, Any], step_s: float) -> Figure:
    """Mean absolute error over the time ahead, one panel a group that moved; there must be one."""
    moved = {group: entry for group, entry in errors.items() if "policy" in entry}
    figure = Figure(figsize=(2.7 * len(moved) + 0.6, 2.8), layout="constrained")
    axes = figure.subplots(1, len(moved), squeeze=False)[0]
    for axis, (group, entry) in zip(axes, moved.items(), strict=True):
        for name in PREDICTORS:
            values = np.asarray(entry[name]["mae_rad_by_step"], float)
            axis.plot((np.arange(len(values)) + 1) * step_s, values, ".-", color=_COLOURS[name], label=name)
        axis.set_title(f"{group} ({entry['moving']} of {entry['joints']})", fontsize=9)
        axis.set_xlabel("time ahead [s]", fontsize=8)
        axis.set_ylim(bottom=0)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("mean absolute error [rad]", fontsize=8)
    axes[0].legend(fontsize=8)
    return figure


def joint_figures(bag: Aligned) -> dict[str, Figure]:
    """Group -> one panel for each of its joints that moved: done black, executed red, chunks thin red, state blue."""
    moving = moving_joints([bag])
    result = {}
    for group, part in bag.robot.policy_slices.items():
        columns = [column for column in range(part.start, part.stop) if moving[column]]
        if columns:
            result[group] = _joints(bag, columns)
    return result


def attention_figure(asked: Sensitivity) -> Figure:
    """How much chunks change when something is replaced, as shares of the policy's own motion."""
    names = [name for name, effect in asked.effects.items() if effect.moments]
    figure = Figure(figsize=(8, 0.42 * len(names) + 0.9), layout="constrained")
    axis = figure.subplots()
    for place, name in enumerate(names):
        effect = asked.effects[name]
        median = effect.median_rad / asked.motion_rad if asked.motion_rad else 0.0
        axis.barh(place, effect.share, color="tab:orange", alpha=0.5)
        axis.barh(place, median, color="tab:orange")
    if asked.noise is not None:
        axis.axvline(asked.noise.share, color="black", linestyle=":", label="another seed of the trained noise")
        figure.legend(fontsize=8, loc="outside upper right", frameon=False)
    axis.set_yticks(range(len(names)), names, fontsize=9)
    axis.invert_yaxis()
    axis.set_xlabel(
        "change of a chunk over the policy's own motion (dark: median, light: at the strongest tenth)", fontsize=8
    )
    axis.grid(alpha=0.3, axis="x")
    return figure


def _joints(bag: Aligned, columns: list[int]) -> Figure:
    figure = Figure(figsize=(12, 1.15 * len(columns) + 0.6), layout="constrained")
    axes = figure.subplots(len(columns), 1, sharex=True, squeeze=False)[:, 0]
    begin_ns = int(bag.grid_ns[0])

    def seconds(times_ns: np.ndarray) -> np.ndarray:
        return (times_ns - begin_ns) / _S_NS

    driven = np.where(bag.grid_known[:, None], bag.executed, np.nan)
    inside = (bag.recorded.times_ns >= begin_ns) & (bag.recorded.times_ns <= bag.grid_ns[-1])
    for axis, column in zip(axes, columns, strict=True):
        axis.plot(seconds(bag.made_ns), bag.held[:, column], color="tab:blue", linewidth=0.8, label="recorded state")
        for chunk in range(0, len(bag.predicted), 6):
            axis.plot(
                seconds(bag.due_ns[chunk]), bag.predicted[chunk, :, column], color="tab:red", linewidth=0.5, alpha=0.5
            )
        axis.plot(
            seconds(bag.recorded.times_ns[inside]),
            bag.recorded.positions[inside, column],
            color="black",
            linewidth=1.2,
            label=f"done ({bag.recorded.kind})",
        )
        axis.plot(seconds(bag.grid_ns), driven[:, column], color="tab:red", linewidth=1.2, label="policy would command")
        axis.set_title(bag.robot.policy_joint_names[column], fontsize=8, loc="left", pad=2)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    axes[0].legend(loc="upper right", fontsize=7, ncols=3)
    axes[-1].set_xlabel("time [s]", fontsize=8)
    figure.supylabel("rad", fontsize=8)
    return figure
