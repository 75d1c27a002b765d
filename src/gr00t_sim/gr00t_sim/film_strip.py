# SPDX-License-Identifier: Apache-2.0
"""One episode as one picture: what the policy sees above, an outside view below, from left to right."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gr00t_policy.runtime.policy import Policy
from gr00t_sim.rollout import PolicyDriver, rollout
from gr00t_sim.scene import OUTSIDE_CAMERA
from gr00t_sim.simulation import TabletopSim

_SIZE = 224
_COLUMNS = 8


def film_strip(task: str, policy: Policy, seed: int, path: Path) -> None:
    """Roll scene ``seed`` out and write ``path`` (PNG)."""
    sim = TabletopSim(task)
    frames: list[NDArray[np.uint8]] = []

    def keep(step: int) -> None:
        if step % 4 == 0:
            pair = (sim.render(width=_SIZE, height=_SIZE), sim.render(OUTSIDE_CAMERA, _SIZE, _SIZE))
            frames.append(np.vstack(pair))

    rollout(sim, PolicyDriver(sim, policy), seed, on_step=keep)
    sim.close()
    chosen = [frames[round(i)] for i in np.linspace(0, len(frames) - 1, min(_COLUMNS, len(frames)))]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.hstack(chosen)).save(path)
