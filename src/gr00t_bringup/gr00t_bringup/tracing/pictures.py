# SPDX-License-Identifier: Apache-2.0
"""A trace as one picture: a histogram of every stage, and the ages and periods over time."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.tracing.chain import AGES, HOPS
from gr00t_bringup.tracing.distribution import Distribution
from gr00t_bringup.tracing.events import Stage
from gr00t_bringup.tracing.trace import Trace

_COLUMNS = 4
_BINS = 60
_PERIODS = {Stage.TOKENS: "tokens", Stage.POLICY: "policy's commands", Stage.COMMAND: "gate's commands"}
_OVER_TIME = ("image_to_robot", "joint_state_to_robot", "inference")


def draw_trace(trace: Trace, file: Path) -> None:
    """Write a PNG. Histograms end at the 99.9th percentile, and say how far the largest value lies beyond."""
    from matplotlib.figure import Figure

    shown = _distributions(trace)
    rows = -(-len(shown) // _COLUMNS)
    height = 2.4 * rows + 6.0  # inches
    figure = Figure(figsize=(4 * _COLUMNS, height))
    grid = figure.add_gridspec(
        *(rows + 2, _COLUMNS),
        left=0.04,
        right=0.985,
        top=1 - 0.7 / height,
        bottom=0.5 / height,
        hspace=0.55,
        wspace=0.16,
        height_ratios=[1] * rows + [1.3, 1.3],
    )
    for place, (title, distribution) in enumerate(shown):
        _histogram(figure.add_subplot(grid[divmod(place, _COLUMNS)]), title, distribution)
    titles = {span.key: span.title for span in (*AGES, *HOPS)}
    spans = [(titles[key], trace.chain.spans[key]) for key in _OVER_TIME]
    _over_time(figure.add_subplot(grid[rows, :]), trace.begin_ns, spans, "age [ms]")
    _over_time(figure.add_subplot(grid[rows + 1, :]), trace.begin_ns, _periods(trace), "period [ms]")
    figure.suptitle(f"{trace.bag.folder.name}: {trace.duration_s:.0f} s")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=90, format="png")


def _distributions(trace: Trace) -> list[tuple[str, Distribution]]:
    spans = [(span.title, trace.chain.spans[span.key]) for span in (*AGES, *HOPS)]
    periods = [(f"period of {name}", periods) for name, periods in _periods(trace)]
    return [(title, distribution) for title, distribution in [*spans, *periods] if distribution.count]


def _periods(trace: Trace) -> list[tuple[str, Distribution]]:
    stages = trace.bag.stages
    return [
        (_PERIODS[stages[topic]], meter.periods_ms)
        for topic, meter in trace.meters.items()
        if stages[topic] in _PERIODS
    ]


def _histogram(axis: Any, title: str, distribution: Distribution) -> None:
    values, _ = distribution.kept()
    figures = distribution.figures()
    low, high = float(values.min()), float(np.percentile(values, 99.9))
    axis.stairs(*np.histogram(values, _BINS, (low, high if high > low else low + 1.0)), fill=True, color="tab:blue")
    for value, colour in ((figures.p50, "tab:green"), (figures.p99, "tab:red")):
        axis.axvline(value, color=colour, linewidth=1)
    axis.set_title(title, fontsize=9)
    _logarithmic(axis)
    axis.set_ylim(bottom=0.7)
    axis.tick_params(labelsize=7)
    axis.set_xlabel(f"p50 {figures.p50:.1f}, p99 {figures.p99:.1f}, max {figures.max:.1f} ms", fontsize=8)


def _over_time(axis: Any, begin_ns: int, lines: list[tuple[str, Distribution]], label: str) -> None:
    for title, distribution in lines:
        if distribution.count:
            values, times_ns = distribution.kept()
            axis.plot(*_seconds(values, times_ns, begin_ns), ".", markersize=1.5, label=title)
    axis.set_ylabel(label)
    axis.set_xlabel("seconds since the begin of the recording")
    axis.grid(alpha=0.3)
    if axis.lines:
        _logarithmic(axis)
        axis.legend(loc="upper right", fontsize=8, markerscale=6)


def _logarithmic(axis: Any) -> None:
    """With plain numbers at the decades alone."""
    from matplotlib.ticker import NullFormatter, ScalarFormatter

    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(ScalarFormatter())
    axis.yaxis.set_minor_formatter(NullFormatter())


def _seconds(
    values: NDArray[np.float64], times_ns: NDArray[np.int64], begin_ns: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return (times_ns - begin_ns) / 1e9, values
