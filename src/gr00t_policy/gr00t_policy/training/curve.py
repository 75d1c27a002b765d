# SPDX-License-Identifier: Apache-2.0
"""The loss curve of a run as a picture."""

import json
from pathlib import Path

from gr00t_policy.data.durable import written_aside
from gr00t_policy.data.json_file import json_lines


def draw_curve(log: Path, picture: Path) -> None:
    """Read ``log.jsonl`` and draw the loss and, where it was trained, localisation distance over steps. Raises OSError."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines = [json.loads(line) for line in json_lines(log.read_text())]
    panels = {
        "flow-matching loss": ("flow", "flow_held_out"),
        "error of the predicted noise": ("noise", "noise_held_out"),
        "localisation distance [half images]": ("find", "find_scenes"),
    }
    shown = {title: keys for title, keys in panels.items() if any(key in line for line in lines for key in keys)}
    figure, axes = pyplot.subplots(len(shown), 1, figsize=(8, 3 * len(shown)), sharex=True, squeeze=False)
    for axis, (title, keys) in zip(axes[:, 0], shown.items(), strict=True):
        for key in keys:
            rows = [(line["step"], line[key]) for line in lines if key in line]
            if rows:
                axis.plot(*zip(*rows, strict=True), label=key.replace("_", " "), linewidth=0.8)
        axis.set_ylabel(title)
        axis.set_yscale("log")
        axis.grid(alpha=0.3)
        axis.legend()
    axes[-1, 0].set_xlabel("step")
    figure.tight_layout()
    with written_aside(picture) as aside:
        figure.savefig(aside, dpi=110, format="png")
    pyplot.close(figure)
