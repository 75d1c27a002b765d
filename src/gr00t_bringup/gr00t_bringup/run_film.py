# SPDX-License-Identifier: Apache-2.0
"""The film of a run, made from its bag afterwards, so that filming costs the running stack nothing.

The head view is what the camera published. The outside view is rendered from the simulator's recorded state
(``sim/qpos``) in the scene that ``sim/task_state`` names: exact, because a scene is given by task, seed and sentence.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from gr00t_bringup.film import FilmWriter, Picture, beside, with_caption
from gr00t_bringup.ros.states import stack_status
from gr00t_bringup.status import StackStatus, number
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag import BagMessage, MessageDecoder, bag_topics, read_bag
from gr00t_sim.scene import OUTSIDE_CAMERA
from gr00t_sim.simulation import TabletopSim

_FPS = 20.0
_HEIGHT_PX = 480
_OUTSIDE_PX = (640, 480)
_STATES = ("planner/state", "controller/state", "command_gate/state", "sim/task_state")


@dataclass
class _Newest:
    """The newest message of each kind at the film's present instant; head as a picture."""

    head: Picture = field(default_factory=lambda: np.zeros((0, 0, 3), dtype=np.uint8))
    qpos: Any = None
    states: dict[str, Any] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return self.head.size > 0 and self.qpos is not None and "sim/task_state" in self.states


class OutsideView:
    """Renders recorded simulator states from outside; keeps one simulator for each task it meets."""

    def __init__(self) -> None:
        self._sims: dict[str, TabletopSim] = {}
        self._scene: tuple[str, int, str] | None = None

    def render(self, task: str, seed: int, sentence: str, qpos: np.ndarray) -> Picture:
        """qpos: all generalised positions (nq,). Raises DatasetError when they are of another scene."""
        if task not in self._sims:
            self._sims[task] = TabletopSim(task)
        sim = self._sims[task]
        if self._scene != (task, seed, sentence):
            sim.reset(seed, sentence or None)  # puts the bins where they were
            self._scene = (task, seed, sentence)
        if qpos.shape != sim.data.qpos.shape:
            raise DatasetError(f"the bag has {qpos.size} simulator positions, task '{task}' has {sim.data.qpos.size}")
        sim.data.qpos[:] = qpos
        mujoco.mj_forward(sim.model, sim.data)
        return sim.render(OUTSIDE_CAMERA, *_OUTSIDE_PX)

    def close(self) -> None:
        for sim in self._sims.values():
            sim.close()


def film_run(bag: Path, video: Path, start_ns: int = 0, namespace: str = "", camera: str = "ego_view") -> int:
    """Film what the bag holds from ``start_ns`` (time of receipt) on; returns the number of frames. Raises DatasetError."""
    outside = OutsideView()
    frames = 0
    try:
        with FilmWriter(video, _FPS) as film:
            for newest in _instants(bag, f"/{namespace.strip('/')}/".replace("//", "/"), camera, start_ns):
                task = newest.states["sim/task_state"]
                view = outside.render(task.task, task.seed, task.sentence, np.asarray(newest.qpos.data))
                film.add(with_caption(beside([view, newest.head], _HEIGHT_PX), _caption(newest)))
                frames += 1
            if not frames:
                raise DatasetError(f"bag {bag} has nothing to film: it needs the camera, sim/qpos and sim/task_state")
    finally:
        outside.close()
    return frames


def _instants(bag: Path, prefix: str, camera: str, start_ns: int) -> Iterator[_Newest]:
    """The newest messages at each instant of the film, from the first at which all are there."""
    decoder = MessageDecoder(bag_topics(bag))
    topics = {prefix + name: name for name in (*_STATES, "sim/qpos", f"camera/{camera}/image_raw")}
    newest, next_ns = _Newest(), 0
    for message in read_bag(bag, list(topics)):
        while newest.complete and message.log_ns > next_ns:
            yield newest
            next_ns += round(1e9 / _FPS)
        _update(newest, topics[message.topic], message, decoder)
        if newest.complete and not next_ns:
            next_ns = max(start_ns, message.log_ns)


def _update(newest: _Newest, name: str, message: BagMessage, decoder: MessageDecoder) -> None:
    decoded = decoder.decode(message)
    if name == "sim/qpos":
        newest.qpos = decoded
    elif name in _STATES:
        newest.states[name] = decoded
    else:
        newest.head = _picture(decoded)


def _picture(image: Any) -> Picture:
    """A sensor_msgs/Image of encoding rgb8 as (H, W, 3)."""
    if image.encoding != "rgb8":
        raise DatasetError(f"the camera's images are '{image.encoding}'; the film understands 'rgb8'")
    rows = np.asarray(image.data, dtype=np.uint8).reshape(image.height, image.step)
    return rows[:, : 3 * image.width].reshape(image.height, image.width, 3)


def _caption(newest: _Newest) -> list[str]:
    status: StackStatus = stack_status(*(newest.states.get(name) for name in _STATES))
    rates = (
        f"planner {status.planner_rate_hz:.1f} Hz   "
        f"head {status.head_rate_hz:.0f} Hz in {number(status.head_p50_ms, '.1f')} ms   "
        f"control {status.control_rate_hz:.0f} Hz   image to command {number(status.image_to_command_p95_ms, '.0f')} ms   "
        f"gate {status.gate}"
    )
    return [f"“{status.sentence or '…'}”", rates, "solved" if status.success else status.task_detail]
