# SPDX-License-Identifier: Apache-2.0
"""Ways to execute chunks beside each other as a picture: a stretch of commands, seams, success, reaction."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gr00t_bringup.bench.seam_episode import SeamEpisode
from gr00t_bringup.bench.seam_stack import RATE_HZ
from gr00t_policy.data.durable import written_aside

_SHOWN_S = 1.0
_FROM_S = 0.5


def draw_seams(rows: Sequence[Mapping[str, Any]], shown: Sequence[SeamEpisode], picture: Path) -> None:
    """PNG. rows: those of ``summarise``; shown: the first episode of each way and timing, with its commands."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rates = list(dict.fromkeys(row["head_rate_hz"] for row in rows))
    figure, axes = pyplot.subplots(len(rates), 4, figsize=(20, 4.2 * len(rates)), squeeze=False, layout="constrained")
    for line, rate in zip(axes, rates, strict=True):
        here = [row for row in rows if row["head_rate_hz"] == rate]
        _draw_velocity(line[0], [one for one in shown if one.job.timing.head_rate_hz == rate])
        line[0].set_title(f"head at {rate:g} Hz: speed commanded, one joint [rad/s]", fontsize=9, loc="left")
        _draw_seams(line[1], here)
        _draw_success(line[2], here)
        _draw_reaction(line[3], here)
    with written_aside(picture) as aside:
        figure.savefig(aside, dpi=90, format="png")
    pyplot.close(figure)


def _draw_velocity(axis: Any, episodes: Sequence[SeamEpisode]) -> None:
    """One joint, the same for all ways: the one that moves most in the stretch shown."""
    window = slice(round(_FROM_S * RATE_HZ), round((_FROM_S + _SHOWN_S) * RATE_HZ))
    if not episodes or len(episodes[0].commands) <= window.start + 2:
        return
    joint = int(np.abs(np.diff(episodes[0].commands[window], axis=0)).sum(axis=0).argmax())
    for place, episode in enumerate(episodes):
        speed = np.diff(episode.commands[window, joint]) * RATE_HZ
        times = _FROM_S + np.arange(len(speed)) / RATE_HZ
        axis.plot(times, speed - 2.0 * place, linewidth=1, label=str(episode.job.way))
        seams = np.flatnonzero(episode.new_chunk[window][1:])
        if len(seams) < len(speed) / 2:
            axis.plot(times[seams], speed[seams] - 2.0 * place, "k.", markersize=3)
    axis.set_xlabel("s; each way 2 rad/s below the last; dots: a new chunk")
    axis.legend(fontsize=7, ncols=2, framealpha=0.5)
    axis.grid(alpha=0.3)


def _draw_seams(axis: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    places = np.arange(len(rows))
    third = [row["commands"][2] for row in rows]
    axis.barh(places - 0.2, [1e3 * entry["border_p95"] for entry in third], 0.38, label="at borders of chunks")
    inside = [1e3 * row["inside_chunk"][2]["p95"] for row in rows]
    axis.barh(places + 0.2, inside, 0.38, label="inside a chunk, by itself")
    axis.set_yticks(places, [row["way"] for row in rows])
    axis.invert_yaxis()
    axis.set_xscale("log")  # the worst is hundreds of times the best
    axis.set_xlabel("third difference, p95 [mrad per tick$^3$]")
    axis.legend(fontsize=7)
    axis.grid(axis="x", alpha=0.3)


def _draw_success(axis: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    for place, row in enumerate(rows):
        low, high = row["wilson95"]
        axis.plot([100 * low, 100 * high], [place, place], color="tab:blue", linewidth=2)
        axis.plot(100 * row["success"], place, "o", color="tab:blue")
    axis.set_yticks(range(len(rows)), [f"{row['way']}, n = {row['episodes']}" for row in rows])
    axis.invert_yaxis()
    axis.set_xlim(0, 101)
    axis.set_xlabel("success [%], 95 % interval")
    axis.grid(axis="x", alpha=0.3)


def _draw_reaction(axis: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    for place, row in enumerate(rows):
        times = [1e3 * time for time in row["reactions_s"]]
        axis.plot(times, np.full(len(times), place), "o", alpha=0.4, color="tab:green")
        if times:
            axis.plot(np.median(times), place, "|", markersize=22, color="black")
    axis.set_yticks(range(len(rows)), [f"{row['way']}, {len(row['reactions_s'])} of {row['moved']}" for row in rows])
    axis.invert_yaxis()
    axis.set_xlim(left=0)
    axis.set_xlabel("hand turned after [ms]; bar: median")
    axis.grid(axis="x", alpha=0.3)
