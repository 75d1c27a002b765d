# SPDX-License-Identifier: Apache-2.0
"""A long run as a picture: every figure over time, what gets worse in red with its slope."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gr00t_bringup.bench.soak_verdict import TIME, series_of
from gr00t_bringup.bench.trend import Trend, Verdict
from gr00t_bringup.bench.vital_signs import (
    CONTROL_RATE,
    CORES,
    DRIVEN,
    HANDLES,
    HEAD_P99,
    HEAD_RATE,
    IMAGE_AGE,
    JOINT_STATE_AGE,
    MEMORY,
    MISSES,
    PLANNER_RATE,
    REAL_TIME_FACTOR,
    SEGMENTS,
    SEGMENTS_MB,
    TEMPERATURE,
    THREADS,
    Sample,
)
from gr00t_policy.data.durable import written_aside

_MEMORY_TITLE = "resident memory, change since the warm-up [MB]"
_PANELS = (
    ("rates [Hz]", (PLANNER_RATE, CONTROL_RATE, HEAD_RATE)),
    ("time [ms]", (HEAD_P99, IMAGE_AGE, JOINT_STATE_AGE)),
    ("missed commands [% of those due]", (MISSES,)),
    (_MEMORY_TITLE, (MEMORY,)),
    ("open file handles", (HANDLES,)),
    ("threads", (THREADS,)),
    ("shared memory: segments, MB", (SEGMENTS, SEGMENTS_MB)),
    ("share of a core", (CORES,)),
    ("real-time factor; 1: the robot is driven", (REAL_TIME_FACTOR, DRIVEN)),
    ("temperature [deg C]", (TEMPERATURE,)),
)
_COLUMNS = 2


def draw_soak(samples: Sequence[Sample], trends: Mapping[str, Trend], warm_up_s: float, picture: Path) -> None:
    """PNG. Panels of what this machine has no sensor for are left out."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    series = series_of(samples)
    minutes = [time_s / 60 for time_s in series[TIME]]
    panels = [(title, _names(series, figures)) for title, figures in _PANELS]
    panels = [(title, names) for title, names in panels if names]
    rows = -(-len(panels) // _COLUMNS)
    figure, axes = pyplot.subplots(rows, _COLUMNS, figsize=(13, 2.4 * rows), squeeze=False, sharex=True)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, (title, names) in zip(axes.flat, panels, strict=False):
        for name in names:
            trend = trends.get(name)
            worse = trend is not None and trend.verdict in (Verdict.GROWS, Verdict.FALLS)
            label, values = name.partition("/")[2] or name, series[name]
            if title == _MEMORY_TITLE:  # leaks are small beside what a process needs
                label += f", {values[-1]:.0f} MB"
                begin = _first_after(series[TIME], warm_up_s)
                values = [value - values[begin] for value in values]
            if trend is not None and trend.slope is not None and worse:
                label += f": {trend.slope.per_hour:+.3g} an hour"
            axis.plot(minutes, values, label=label, linewidth=2 if worse else 1, color="red" if worse else None)
        if title != _MEMORY_TITLE:
            axis.set_ylim(0, 1.1 * max(axis.get_ylim()[1], 0.1))
        axis.axvspan(minutes[0], minutes[0] + warm_up_s / 60, color="gray", alpha=0.15, linewidth=0)
        axis.set_title(title, fontsize=9, loc="left")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=6, loc="center left", bbox_to_anchor=(1.0, 0.5))
    for axis in axes[-1]:
        axis.set_xlabel("minutes; grey: warm-up, not judged")
    figure.tight_layout()
    with written_aside(picture) as aside:
        figure.savefig(aside, dpi=100, format="png")
    pyplot.close(figure)


def _names(series: Mapping[str, object], figures: Sequence[str]) -> list[str]:
    return [name for name in series if name.partition("/")[0] in figures]


def _first_after(times_s: Sequence[float], warm_up_s: float) -> int:
    """Index of the first sample that is judged."""
    return next((index for index, time_s in enumerate(times_s) if time_s >= times_s[0] + warm_up_s), 0)
