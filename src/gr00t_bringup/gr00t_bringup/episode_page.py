# SPDX-License-Identifier: Apache-2.0
"""One episode as one HTML page without other files: pictures over time, and the curves of each joint group."""

import base64
import io
from html import escape

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from gr00t_bringup.dataset_check.joint_labels import joint_labels
from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.data.dataset import Episode, LeRobotDataset

_STYLE = (
    "body{font:14px sans-serif;margin:1.5em;max-width:1200px}figure{display:inline-block;margin:2px}"
    "figcaption{font-size:11px;color:#555}.curves{max-width:100%}"
)
_THUMBNAIL_WIDTH = 176
_STILL_RAD = 1e-4


def episode_page(dataset: LeRobotDataset, robot: Embodiment, index: int, pictures: int) -> str:
    """The page. pictures: how many of each camera, evenly over the episode. Raises DatasetError when a file cannot be read."""
    episode = dataset.episode(index)
    seconds = len(episode) / dataset.fps
    parts = [
        f"<h1>{escape(dataset.layout.root.name)}, episode {index}</h1>",
        f"<p>“{escape(episode.task)}”: {len(episode)} frames at {dataset.fps:g} Hz, {seconds:.1f} s</p>",
        *(_strip(dataset, episode, camera, pictures) for camera in dataset.cameras),
        *_curves(dataset, robot, episode),
    ]
    title = f"{escape(dataset.layout.root.name)} {index}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style></head>'
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _strip(dataset: LeRobotDataset, episode: Episode, camera: str, pictures: int) -> str:
    indices = np.unique(np.linspace(0, len(episode) - 1, pictures).round().astype(int))
    figures = []
    for frame, pixels in zip(indices.tolist(), dataset.frames(episode.index, camera, indices), strict=True):
        image = Image.fromarray(pixels)
        image.thumbnail((_THUMBNAIL_WIDTH, _THUMBNAIL_WIDTH * 4))
        file = io.BytesIO()
        image.save(file, "JPEG", quality=85)
        caption = f"{frame / dataset.fps:.2f} s, frame {frame}"
        figures.append(f"<figure>{embedded(file, 'jpeg', caption)}<figcaption>{caption}</figcaption></figure>")
    return f"<h2>camera {escape(camera)}</h2>{''.join(figures)}"


def _curves(dataset: LeRobotDataset, robot: Embodiment, episode: Episode) -> list[str]:
    """One picture for each group that moves; the others are named."""
    states, actions = _by_group(episode.states, dataset.state_groups), _by_group(episode.actions, dataset.action_groups)
    parts, still = [], []
    for group in dict.fromkeys([*states, *actions]):
        sides = {"state": states.get(group), "action": actions.get(group)}
        given = {side: values for side, values in sides.items() if values is not None}
        if max(np.ptp(values, axis=0).max() for values in given.values()) < _STILL_RAD:
            still.append(group)
            continue
        file = io.BytesIO()
        _figure(given, group, robot, dataset.fps).savefig(file, dpi=80, format="png")
        name = f"curves of {group}"
        parts.append(f"<h2>{escape(group)}</h2>{embedded(file, 'png', name, 'curves')}")
    if still:
        parts.append(f"<p>These groups do not move: {escape(', '.join(still))}.</p>")
    return parts


def _figure(sides: dict[str, NDArray[np.float32]], group: str, robot: Embodiment, fps: float) -> Figure:
    """One panel a joint over time [s]: state blue, action black."""
    width = max(values.shape[1] for values in sides.values())
    labels = joint_labels(robot, group, width)
    figure = Figure(figsize=(13, 1.1 * width + 0.7), layout="constrained")
    axes = figure.subplots(width, 1, sharex=True, squeeze=False)[:, 0]
    for joint, axis in enumerate(axes):
        for side, colour in (("state", "tab:blue"), ("action", "black")):
            if side in sides and joint < sides[side].shape[1]:
                values = sides[side][:, joint]
                axis.plot(np.arange(len(values)) / fps, values, color=colour, linewidth=1, label=side)
        axis.set_title(labels[joint], fontsize=8, loc="left", pad=2)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    axes[0].legend(loc="upper right", fontsize=7, ncols=2)
    axes[-1].set_xlabel("time [s]", fontsize=8)
    figure.supylabel("value as recorded (arms: rad)", fontsize=8)
    return figure


def _by_group(values: NDArray[np.float32], groups: dict[str, slice]) -> dict[str, NDArray[np.float32]]:
    """Episodes hold the groups side by side in their order, wherever they were stored."""
    widths = [part.stop - part.start for part in groups.values()]
    pieces = np.split(values, np.cumsum(widths)[:-1], axis=1)
    return dict(zip(groups, pieces, strict=True))


def embedded(file: io.BytesIO, kind: str, name: str, style: str = "") -> str:
    """A picture as an HTML element that needs no other file. kind: 'png' or 'jpeg'; name: said where it is not shown."""
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img class="{style}" alt="{escape(name)}" src="data:image/{kind};base64,{data}">'
