# SPDX-License-Identifier: Apache-2.0
"""An episode in pictures: as one strip (what the policy sees above, an outside view below, from left to right) or a film."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from gr00t_policy.data.durable import written_aside
from gr00t_policy.data.video import VideoEncoding, write_video
from gr00t_sim.rollout import PERIOD_S
from gr00t_sim.scene import OUTSIDE_CAMERA
from gr00t_sim.simulation import TabletopSim

STRIP_EVERY, FILM_EVERY = 8, 2  # control periods between two pictures kept
_SIZE_PX = 224
_COLUMNS = 8
_FONT_PX = 20  # read at two thirds of the strip's width, too
_CRF = 26  # small files; the eye sees what happened
_JPEG_QUALITY = 80


@dataclass
class Recorder:
    """Keeps a pair of pictures every ``every`` control periods; a watcher for ``EpisodeRunner.run``.

    heads, outsides: (224, 224, 3) uint8 RGB; seconds: when, since the episode's begin.
    """

    every: int
    heads: list[NDArray[np.uint8]] = field(default_factory=list)
    outsides: list[NDArray[np.uint8]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def __call__(self, sim: TabletopSim, step: int) -> None:
        if step % self.every == 0:
            self.keep(sim, step)

    def keep(self, sim: TabletopSim, step: int) -> None:
        """Keep this moment whatever its number."""
        self.heads.append(sim.render(width=_SIZE_PX, height=_SIZE_PX))
        self.outsides.append(sim.render(OUTSIDE_CAMERA, _SIZE_PX, _SIZE_PX))
        self.seconds.append((step + 1) * PERIOD_S)


def write_strip(recorder: Recorder, path: Path) -> None:
    """At most eight moments, evenly spread, the last of them the last kept. ``path``: .jpg or .png."""
    chosen = np.unique(np.linspace(0, len(recorder.heads) - 1, _COLUMNS).round().astype(int))
    columns = [np.vstack((recorder.heads[index], recorder.outsides[index])) for index in chosen]
    image = Image.fromarray(np.hstack(columns))
    draw = ImageDraw.Draw(image)
    for column, index in enumerate(chosen):
        place = (column * _SIZE_PX + 4, _SIZE_PX + 3)
        draw.text(
            place,
            f"{recorder.seconds[index]:.1f} s",
            fill="white",
            stroke_width=2,
            stroke_fill="black",
            font_size=_FONT_PX,
        )
    with written_aside(path) as aside:
        image.save(aside, format="PNG" if path.suffix == ".png" else "JPEG", quality=_JPEG_QUALITY)


def write_film(recorder: Recorder, path: Path) -> None:
    """Both views side by side in real time (mp4)."""
    frames = np.stack([np.hstack(pair) for pair in zip(recorder.heads, recorder.outsides, strict=True)])
    with written_aside(path) as aside:
        write_video(aside, frames, 1 / (recorder.every * PERIOD_S), VideoEncoding(crf=_CRF))
