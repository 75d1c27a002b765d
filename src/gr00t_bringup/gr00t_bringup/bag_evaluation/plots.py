# SPDX-License-Identifier: Apache-2.0
"""Pictures of an evaluation by bags: error over the steps ahead, joint curves, what the policy attends to."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from gr00t_bringup.bag_evaluation.aligned import Aligned, moving_joints
from gr00t_bringup.bag_evaluation.prediction_errors import PREDICTORS
from gr00t_bringup.bag_evaluation.sensitivity import Sensitivity
from gr00t_bringup.page_plots import SMALL, TINY, WIDTH_IN, finish_joint_panels, joint_panels

_COLOURS = {"policy": "tab:red", "hold": "tab:blue", "mean": "tab:gray"}
_CHUNKS_APART = 6  # of those drawn: more would hide the rest
_S_NS = 1_000_000_000


def error_figure(errors: Mapping[str, Any], step_s: float) -> Figure:
    """Mean absolute error over the time ahead, one panel a group that moved; there must be one."""
    moved = {group: entry for group, entry in errors.items() if "policy" in entry}
    width = min(WIDTH_IN, 2.2 * len(moved) + 1.2)
    figure = Figure(figsize=(width, 3.0), layout="constrained")
    axes = figure.subplots(1, len(moved), squeeze=False, sharey=True)[0]
    for axis, (group, entry) in zip(axes, moved.items(), strict=True):
        for name in PREDICTORS:
            values = np.asarray(entry[name]["mae_rad_by_step"], float)
            axis.plot((np.arange(len(values)) + 1) * step_s, values, ".-", color=_COLOURS[name], label=name)
        axis.set_title(f"{group} ({entry['moving']} of {entry['joints']})", fontsize=SMALL)
        axis.set_xlabel("time ahead [s]", fontsize=SMALL)
        axis.set_ylim(bottom=0)
        axis.tick_params(labelsize=TINY)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("mean absolute error [rad]", fontsize=SMALL)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", fontsize=SMALL, ncols=len(labels), frameon=False)
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
    figure = Figure(figsize=(9, 0.42 * len(names) + 1.2), layout="constrained")
    axis = figure.subplots()
    for place, name in enumerate(names):
        effect = asked.effects[name]
        median = effect.median_rad / asked.motion_rad if asked.motion_rad else 0.0
        axis.barh(place, effect.share, color="tab:orange", alpha=0.5)
        axis.barh(place, median, color="tab:orange")
    if asked.noise is not None:
        axis.axvline(asked.noise.share, color="black", linestyle=":", label="another seed of the trained noise")
        figure.legend(fontsize=SMALL, loc="outside upper right", frameon=False)
    axis.invert_yaxis()
    axis.tick_params(labelsize=TINY)
    axis.set_yticks(range(len(names)), names, fontsize=SMALL)
    axis.set_xlabel(
        "change of a chunk, as a share of the policy's own motion\n(dark: median, light: at the strongest tenth)",
        fontsize=SMALL,
    )
    axis.grid(alpha=0.3, axis="x")
    return figure


def _joints(bag: Aligned, columns: list[int]) -> Figure:
    figure, axes = joint_panels([bag.robot.policy_joint_names[column] for column in columns])
    begin_ns = int(bag.grid_ns[0])

    def seconds(times_ns: np.ndarray) -> np.ndarray:
        return (times_ns - begin_ns) / _S_NS

    driven = np.where(bag.grid_known[:, None], bag.executed, np.nan)
    inside = (bag.recorded.times_ns >= begin_ns) & (bag.recorded.times_ns <= bag.grid_ns[-1])
    done = (seconds(bag.recorded.times_ns[inside]), bag.recorded.positions[inside])
    for axis, column in zip(axes, columns, strict=True):
        axis.plot(seconds(bag.made_ns), bag.held[:, column], color="tab:blue", linewidth=1.0, label="recorded state")
        for chunk in range(0, len(bag.predicted), _CHUNKS_APART):
            due, values = seconds(bag.due_ns[chunk]), bag.predicted[chunk, :, column]
            label = f"predicted chunks, one in {_CHUNKS_APART}"
            axis.plot(due, values, color="tab:red", linewidth=0.6, alpha=0.5, label=label)
        axis.plot(done[0], done[1][:, column], color="black", linewidth=1.4, label=f"done ({bag.recorded.kind})")
        label = "policy would command"
        axis.plot(seconds(bag.grid_ns), driven[:, column], color="tab:red", linewidth=1.4, label=label)
    finish_joint_panels(figure, axes, "position [rad]")
    return figure
