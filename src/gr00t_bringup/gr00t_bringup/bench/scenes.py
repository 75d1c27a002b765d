# SPDX-License-Identifier: Apache-2.0
"""Scene after scene on a running stack: each is laid out, its sentence said, and its end judged by the simulator's referee."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gr00t_bringup.status import StackStatus

if TYPE_CHECKING:
    from gr00t_bringup.ros.stack import RunningStack

_HEARD_S = 5.0
_SETTLE_S = 1.0


@dataclass
class SceneResult:
    """One scene: what was said, whether the referee saw it done, and after how long [s]."""

    seed: int
    sentence: str
    success: bool = False
    seconds: float = 0.0
    detail: str = ""


class SceneSequence:
    """wish: the sentence of every scene, '' = each its own. A scene lasts until success or ``episode_s``."""

    def __init__(self, stack: "RunningStack", task: str, wish: str, first_seed: int, episode_s: float) -> None:
        self.results: list[SceneResult] = []
        self._stack, self._task, self._wish = stack, task, wish
        self._first_seed, self._episode_s = first_seed, episode_s
        self._began_s = 0.0
        self._solved_s: float | None = None

    def begin(self) -> None:
        """Lay out the next scene and say its sentence. Raises NotReadyError."""
        seed = self._first_seed + len(self.results)
        sentence = self._stack.client.reset_simulation(self._task, seed, self._wish)
        self._stack.client.wait_listeners(["planner", "bag_recorder"], _HEARD_S)
        self._stack.client.say(sentence)
        self.results.append(SceneResult(seed, sentence))
        self._began_s, self._solved_s = time.monotonic(), None

    def over(self, status: StackStatus, now_s: float) -> bool:
        """Whether the scene was solved a moment ago or its time is up. now_s: of the steady clock."""
        self._solved_s = (self._solved_s or now_s) if status.success else None
        settled = self._solved_s is not None and now_s - self._solved_s > _SETTLE_S
        return settled or now_s - self._began_s > self._episode_s

    def judge(self, status: StackStatus, now_s: float) -> None:
        """Write down how the scene stands."""
        scene = self.results[-1]
        scene.success, scene.detail = status.success, status.task_detail
        scene.seconds = round((self._solved_s or now_s) - self._began_s, 2)
