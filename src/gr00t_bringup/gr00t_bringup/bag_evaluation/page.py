# SPDX-License-Identifier: Apache-2.0
"""The report: one HTML page without other files. Verdicts first, then what they are made of."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from gr00t_bringup.bag_evaluation.judge import Judgement
from gr00t_bringup.bag_evaluation.plots import attention_figure, error_figure, joint_figures
from gr00t_bringup.episode_page import embedded

_STYLE = (
    "body{font:14px/1.45 sans-serif;margin:1.5em auto;max-width:1150px;padding:0 1em;color:#222}h1{font-size:22px}"
    "h2{font-size:17px;margin-top:1.8em}table{border-collapse:collapse;font-size:13px}td,th{padding:2px 10px;text-align:right}"
    "td:first-child,th:first-child{text-align:left}th{color:#666;font-weight:normal;border-bottom:1px solid #ccc}"
    ".verdict{margin:4px 0;padding:6px 10px;border-left:5px solid}.error{border-color:#c62828;background:#fdecea}"
    ".warning{border-color:#ef9a00;background:#fff6e0}.good{border-color:#2e7d32;background:#e8f5e9}"
    ".note{border-color:#9e9e9e;background:#f5f5f5}.severity{display:inline-block;width:5em;font-weight:bold}"
    ".curves{max-width:100%}video{max-width:100%}p{max-width:62em}.small{color:#666;font-size:12px}"
)


def report_page(judgement: Judgement, data: Mapping[str, Any], film: Path | None = None) -> str:
    """The page. data: as in evaluation.json; film: mp4 of the first bag."""
    found = judgement.findings
    parts = [
        f"<h1>{escape(Path(data['checkpoint']).name)} on {len(found.runs)} recording{'s' if len(found.runs) > 1 else ''}</h1>",
        _verdicts(data),
        _about(data),
        *([_film(film, found.runs[0].name)] if film else []),
        _errors(data),
        "<h2>Does it look, listen and feel?</h2>",
        "<p>At some moments of the recordings the picture, the sentence or the joint state is replaced by another; this is "
        f"how much the chunk changes. Another sentence: “{escape(found.sensitivity.other_sentence)}”.</p>",
        _picture(attention_figure(found.sensitivity), "what the policy attends to"),
        _timing(data),
    ]
    for run, bag in list(zip(found.runs, found.aligned, strict=True))[:3]:
        for group, figure in joint_figures(bag).items():
            parts += [f"<h2>{escape(run.name)}: {escape(group)}</h2>", _picture(figure, f"joints of {group}")]
    title = f"{escape(Path(data['checkpoint']).name)} on recordings"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style></head>'
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _verdicts(data: Mapping[str, Any]) -> str:
    return "".join(
        f'<div class="verdict {each["severity"]}"><span class="severity">{each["severity"]}</span>'
        f"{escape(each['sentence'])}</div>"
        for each in data["verdicts"]
    )


def _about(data: Mapping[str, Any]) -> str:
    rows = [
        [
            Path(bag["bag"]).parent.name + "/" + Path(bag["bag"]).name,
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
        f"<h2>What was played</h2>{_table(header, rows)}"
        f'<p class="small">{checkpoint}; picture to tokens: {escape(data["latency"]["origin"])}. '
        "The robot does what it did in the recording, whatever the policy commands.</p>"
    )


def _film(film: Path, name: str) -> str:
    video = base64.b64encode(film.read_bytes()).decode()
    return (
        f"<h2>{escape(name)}: predicted and done</h2><p>Red: the newest chunk. Green: what was done. Where the camera's "
        "pose is known, the hands' paths are drawn into its picture; a circle is where a path ends.</p>"
        f'<video controls muted loop src="data:video/mp4;base64,{video}"></video>'
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
    picture = _picture(error_figure(data["errors"], data["step_s"]), "error over the time ahead") if moved else ""
    return (
        "<h2>How far from what was done [rad]</h2><p>Over the joints that were moved. <i>hold</i>: the robot stays where it "
        "is; <i>mean</i>: it stays at the mean of what was done. Normalised: over the deviation of what was done, 1 is as "
        "good as the mean.</p>"
        f"{_table(header, rows)}{picture}"
    )


def _timing(data: Mapping[str, Any]) -> str:
    rows = [
        [
            name.replace("_", " "),
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
        parts += ["<h2>Hands</h2>", _table(["hand", "", "done at [s]", "policy later by [ms]"], events)]
    return "".join(parts)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _picture(figure: Figure, name: str) -> str:
    file = io.BytesIO()
    figure.savefig(file, dpi=85, format="png")
    return embedded(file, "png", name, "curves")
