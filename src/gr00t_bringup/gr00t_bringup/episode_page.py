# SPDX-License-Identifier: Apache-2.0
"""One episode as one HTML page without other files: pictures over time, and the curves of each joint group."""

import io
from html import escape

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from gr00t_bringup.dataset_check.joint_labels import joint_labels
from gr00t_bringup.page_plots import finish_joint_panels, joint_panels, plot_html
from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.core.html_page import embedded, html_page
from gr00t_policy.data.dataset import Episode, LeRobotDataset
from gr00t_policy.data.row_times import require_regular_times

_STYLE = """
.strip { display: grid; gap: 6px; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); }
figure { margin: 0; } figure img { width: 100%; } figcaption { color: var(--faint); font-size: 12px; }
"""
_THUMBNAIL_WIDTH = 176
_STILL_RAD = 1e-4


def episode_page(dataset: LeRobotDataset, robot: Embodiment, index: int, pictures: int) -> str:
    """The page. pictures: how many of each camera, evenly over the episode. Raises DatasetError when a file cannot be read."""
    episode = dataset.episode(index, regular=False)  # whoever looks may look for just that
    seconds = len(episode) / dataset.fps
    parts = [
        f"<h1>{escape(dataset.layout.root.name)}, episode {index}</h1>",
        f"<p>“{escape(episode.task)}”: {len(episode)} frames at {dataset.fps:g} Hz, {seconds:.1f} s</p>",
        *_irregular(dataset, episode),
        *(_strip(dataset, episode, camera, pictures) for camera in dataset.cameras),
        *_curves(dataset, robot, episode),
    ]
    return html_page(f"{dataset.layout.root.name} {index}", "".join(parts), _STYLE)


def _irregular(dataset: LeRobotDataset, episode: Episode) -> list[str]:
    """What is wrong with the times of the rows; the page's own times are those of fps."""
    try:
        require_regular_times(dataset.layout.data(episode.index), episode.timestamps_s, dataset.fps)
    except DatasetError as error:
        return [f"<p><b>{escape(str(error))}</b></p>"]
    return []


def _strip(dataset: LeRobotDataset, episode: Episode, camera: str, pictures: int) -> str:
    indices = np.unique(np.linspace(0, len(episode) - 1, pictures).round().astype(int))
    figures = []
    for frame, pixels in zip(indices.tolist(), dataset.frames(episode.index, camera, indices), strict=True):
        image = Image.fromarray(pixels)
        image.thumbnail((_THUMBNAIL_WIDTH, _THUMBNAIL_WIDTH * 4))
        file = io.BytesIO()
        image.save(file, "JPEG", quality=85)
        caption = f"{frame / dataset.fps:.2f} s, frame {frame}"
        figures.append(
            f"<figure>{embedded(file.getvalue(), 'jpeg', caption)}<figcaption>{caption}</figcaption></figure>"
        )
    return f"<h2>camera {escape(camera)}</h2><div class='strip'>{''.join(figures)}</div>"


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
        picture = plot_html(_figure(given, group, robot, dataset.fps), f"curves of {group}")
        parts.append(f"<h2>{escape(group)}</h2>{picture}")
    if still:
        parts.append(f"<p>These groups do not move: {escape(', '.join(still))}.</p>")
    return parts


def _figure(sides: dict[str, NDArray[np.float32]], group: str, robot: Embodiment, fps: float) -> Figure:
    """One panel a joint over time [s]: state blue, action black."""
    width = max(values.shape[1] for values in sides.values())
    figure, axes = joint_panels(joint_labels(robot, group, width))
    for joint, axis in enumerate(axes):
        for side, colour in (("state", "tab:blue"), ("action", "black")):
            if side in sides and joint < sides[side].shape[1]:
                values = sides[side][:, joint]
                axis.plot(np.arange(len(values)) / fps, values, color=colour, linewidth=1, label=side)
    finish_joint_panels(figure, axes, "value as recorded (arms: rad)")
    return figure


def _by_group(values: NDArray[np.float32], groups: dict[str, slice]) -> dict[str, NDArray[np.float32]]:
    """Episodes hold the groups side by side in their order, wherever they were stored."""
    widths = [part.stop - part.start for part in groups.values()]
    pieces = np.split(values, np.cumsum(widths)[:-1], axis=1)
    return dict(zip(groups, pieces, strict=True))
