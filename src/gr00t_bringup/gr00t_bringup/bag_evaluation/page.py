# SPDX-License-Identifier: Apache-2.0
"""The report: one HTML page without other files. Verdicts first, then what they are made of."""

import math
from collections.abc import Collection, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from gr00t_bringup.bag_evaluation.judge import Judgement
from gr00t_bringup.bag_evaluation.plots import attention_figure, error_figure, joint_figures
from gr00t_bringup.page_plots import plot_html
from gr00t_policy.core.html_page import embedded_film, html_page, scrolling

_STYLE = """
td, th { padding: 2px 10px; text-align: right; vertical-align: bottom; } td:first-child, th:first-child { padding-left: 0; }
td.words, th.words { text-align: left; } td.words { min-width: 6em; white-space: normal; overflow-wrap: normal; }
th { border-bottom: 1px solid var(--line); }
.verdict { display: flex; margin: 4px 0; padding: 6px 10px; border-left: 5px solid; }
.severity { flex: 0 0 5em; font-weight: bold; }
.error { border-color: var(--bad); background: #c6282822; } .warning { border-color: var(--warn); background: #ef9a0022; }
.good { border-color: var(--good); background: #2e7d3222; } .note { border-color: #9e9e9e; background: #9e9e9e22; }
"""
_UNITS = {
    "velocity_rad_s": "velocity [rad/s]",
    "acceleration_rad_s2": "acceleration [rad/s²]",
    "jerk_rad_s3": "jerk [rad/s³]",
}


def report_page(judgement: Judgement, data: Mapping[str, Any], film: Path | None = None) -> str:
    """The page. data: as in evaluation.json; film: mp4 of the first bag."""
    found = judgement.findings
    parts = [
        f"<h1>{escape(Path(data['checkpoint']).name)} on {len(found.runs)} recording{'s' if len(found.runs) > 1 else ''}</h1>",
        _verdicts(data),
        _about(data),
        *([_film(film, _short(data["bags"][0]))] if film else []),
        _errors(data),
        "<h2>Does it look, listen and feel?</h2>",
        "<p>At some moments of the recordings the picture, the sentence or the joint state is replaced by another; this is "
        f"how much the chunk changes. Another sentence: “{escape(found.sensitivity.other_sentence)}”.</p>",
        plot_html(attention_figure(found.sensitivity), "what the policy attends to"),
        _timing(data),
    ]
    for bag, about in list(zip(found.aligned, data["bags"], strict=True))[:3]:
        for group, figure in joint_figures(bag).items():
            parts += [f"<h2>{escape(_short(about))}: {escape(group)}</h2>", plot_html(figure, f"joints of {group}")]
    return html_page(f"{Path(data['checkpoint']).name} on recordings", "".join(parts), _STYLE)


def _short(bag: Mapping[str, Any]) -> str:
    """Bags are often called 'bag': the folder they lie in is said with them."""
    path = Path(bag["bag"])
    return f"{path.parent.name}/{path.name}"


def _verdicts(data: Mapping[str, Any]) -> str:
    return "".join(
        f'<div class="verdict {each["severity"]}"><span class="severity">{each["severity"]}</span>'
        f"<span>{escape(each['sentence'])}</span></div>"
        for each in data["verdicts"]
    )


def _about(data: Mapping[str, Any]) -> str:
    rows = [
        [
            _short(bag),
            f"{bag['seconds']:.1f}",
            "; ".join(f"“{text}”" for text in bag["sentences"]),
            bag["compared_with"],
            str(bag["chunks"]),
            f"{1e3 * bag['image_to_tokens_s']:.0f}",
            f"{bag['held_share']:.0%}",
            f"{bag['errors']['policy']:.3f}" if bag["errors"] else "-",
        ]
        for bag in data["bags"]
    ]
    header = ["bag", "seconds", "sentence", "compared with", "chunks", "picture to tokens [ms]", "held", "error [rad]"]
    checkpoint = (
        f"{escape(data['checkpoint'])} ({escape(data['checkpoint_hash'][:12])}), robot {escape(data['embodiment'])}"
    )
    return (
        f"<h2>What was played</h2>{_table(header, rows, words=(0, 2, 3))}"
        f'<p class="small">{checkpoint}; picture to tokens: {escape(data["latency"]["origin"])}. '
        "The robot does what it did in the recording, whatever the policy commands.</p>"
    )


def _film(film: Path, name: str) -> str:
    return (
        f"<h2>{escape(name)}: predicted and done</h2><p>Red: the newest chunk. Green: what was done. Where the camera's "
        "pose is known, the hands' paths are drawn into its picture; a circle is where a path ends. Beside it, the joints that "
        "move most, from a second before now (the grey line) to the end of the chunk; blue is the measured state.</p>"
        f"{embedded_film(film.read_bytes())}"
    )


def _errors(data: Mapping[str, Any]) -> str:
    rows = []
    for group, entry in data["errors"].items():
        if "policy" not in entry:
            rows.append([group, f"{entry['moving']} of {entry['joints']}", *["-"] * 8])
            continue
        row = [group, f"{entry['moving']} of {entry['joints']}"]
        for key in ("mae_rad", "rmse_rad"):
            row += [f"{entry[name][key]:.3f}" for name in ("policy", "hold", "mean")]
        rows.append([*row, f"{entry['policy']['normalised']:.2f}", f"{entry['hold']['normalised']:.2f}"])
    header = [
        "group",
        "joints moved",
        "MAE: policy",
        "hold",
        "mean",
        "RMSE: policy",
        "hold",
        "mean",
        "normalised: policy",
        "hold",
    ]
    moved = any("policy" in entry for entry in data["errors"].values())
    picture = plot_html(error_figure(data["errors"], data["step_s"]), "error over the time ahead") if moved else ""
    return (
        "<h2>How far from what was done [rad]</h2><p>Over the joints that were moved. <i>hold</i>: the robot stays where it "
        "is; <i>mean</i>: it stays at the mean of what was done. Normalised: over the deviation of what was done, 1 is as "
        "good as the mean.</p>"
        f"{_table(header, rows)}{picture}"
    )


def _timing(data: Mapping[str, Any]) -> str:
    rows = [
        [
            _UNITS[name],
            *(f"{entry[key]:.2f}" if math.isfinite(entry[key]) else "-" for key in ("policy", "recorded", "ratio")),
        ]
        for name, entry in data["smoothness"].items()
    ]
    shifts = [
        f"{what} {1e3 * abs(shift['late_s']):.0f} ms {'late' if shift['late_s'] > 0 else 'early'} (match {shift['match']:.2f})"
        for what, shift in (("chunks", data["time_shift"]["chunks"]), ("commands", data["time_shift"]["executed"]))
        if shift is not None
    ]
    parts = [
        "<h2>Time and smoothness</h2>",
        f"<p>Best match in time: {escape('; '.join(shifts) or 'too little moves to tell')}.</p>",
        _table(["root mean square", "policy", "recorded", "ratio"], rows),
    ]
    if data["hands"]:
        events = [
            [
                event["group"],
                "closes" if event["closes"] else "opens",
                f"{event['done_s']:.2f}",
                "never" if math.isnan(event["early_s"]) else f"{-1e3 * event['early_s']:+.0f}",
            ]
            for event in data["hands"]
        ]
        parts += ["<h2>Hands</h2>", _table(["hand", "", "done at [s]", "policy later by [ms]"], events, words=(0, 1))]
    return "".join(parts)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], words: Collection[int] = (0,)) -> str:
    """words: the columns that hold words; all others hold numbers."""

    def row(cells: Sequence[str], tag: str) -> str:
        kinds = [' class="words"' if column in words else "" for column in range(len(cells))]
        inner = "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))
        return f"<tr>{inner}</tr>"

    return scrolling(f"<table>{row(header, 'th')}{''.join(row(cells, 'td') for cells in rows)}</table>")
