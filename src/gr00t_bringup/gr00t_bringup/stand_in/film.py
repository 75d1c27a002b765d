# SPDX-License-Identifier: Apache-2.0
"""The film of a scene that was driven: from outside and through the robot's camera, drawn afterwards from what was seen."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.film import FilmWriter, beside, with_caption
from gr00t_sim.robot import HEAD_CAMERA
from gr00t_sim.scene import OUTSIDE_CAMERA
from gr00t_sim.simulation import TabletopSim

_FPS = 20.0
_HEIGHT_PX = 480


class Seen(Protocol):
    """One glance: when [s], the simulator's generalised positions (nq,), what the person is about, what the nodes say."""

    @property
    def time_s(self) -> float: ...
    @property
    def positions(self) -> NDArray[np.float64]: ...
    @property
    def about(self) -> str: ...
    @property
    def states(self) -> str: ...


def film_scene(video: Path, task: str, seed: int, sentence: str, glances: Sequence[Seen]) -> None:
    """Write the film in real time, one picture every 50 ms."""
    sim = TabletopSim(task)
    sim.reset(seed, sentence or None)
    began_s = glances[0].time_s
    try:
        with FilmWriter(video, _FPS) as film:
            next_s = began_s
            for glance in glances:
                if glance.time_s < next_s - 0.5 / _FPS:
                    continue
                sim.data.qpos[:] = glance.positions
                mujoco.mj_forward(sim.model, sim.data)
                outside = sim.render(OUTSIDE_CAMERA, 640, 480)
                views = beside([outside, sim.render(HEAD_CAMERA, 256, 256)], _HEIGHT_PX)
                lines = [
                    f"“{sentence}”",
                    f"{glance.time_s - began_s:5.1f} s   the person: {glance.about}",
                    glance.states,
                ]
                picture = with_caption(views, lines)
                while next_s <= glance.time_s:
                    film.add(picture)
                    next_s += 1.0 / _FPS
    finally:
        sim.close()
