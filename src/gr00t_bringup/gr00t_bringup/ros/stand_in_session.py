# SPDX-License-Identifier: Apache-2.0
"""One scene driven by the scripted operator: real time, the headset's connection, and eyes fed by ``sim/qpos``."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from gr00t_msgs.msg import TeleopState
from numpy.typing import NDArray

from gr00t_bringup.ros.stack import RunningStack
from gr00t_bringup.stand_in.eyes import Eyes, Sight
from gr00t_bringup.stand_in.operator import ScriptedOperator, comfortable
from gr00t_policy.core.errors import Gr00tError
from gr00t_teleop.devices.webxr_client import WebXrClient
from gr00t_teleop.devices.webxr_frame import WebXrFrame, encode_frame
from gr00t_teleop.person.person import Person, random_build

Vector = NDArray[np.float64]

_REACTION_S = 0.15  # from what happens to what the hands do about it
_LOOK_PERIOD_S = 0.05
_RATES_HZ = (72.0, 80.0, 90.0)  # displays of headsets in use
_JITTER = 0.06  # of a sample period, standard deviation
_FIRST_LOOK_S, _VERDICT_S = 10.0, 1.0
_FOLLOWING = (TeleopState.ENGAGED, TeleopState.HOLDING)


class BlindError(Gr00tError):
    """The simulator does not publish its state: the stand-in sees nothing."""


@dataclass(frozen=True)
class Glance:
    """What was seen at one time, kept for the film."""

    time_s: float
    positions: Vector
    about: str
    states: str


@dataclass
class Driven:
    """How one scene went. reason: why it was not solved, '' when it was. slowest: least real-time factor of the simulator;
    rate_hz: of the headset's samples as sent; lapses: how often the robot stopped to follow with the clutch closed.
    """

    solved: bool = False
    seconds: float = 0.0
    grasps: int = 0
    reason: str = ""
    rate_hz: float = 0.0
    slowest: float = 1.0
    lapses: int = 0
    glances: list[Glance] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """Without the pictures."""
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name != "glances"}


class StandInSession:
    """Eyes on a running stack, and a person for each scene."""

    def __init__(self, stack: RunningStack, eyes: Eyes, connect: Callable[[], WebXrClient]) -> None:
        self._stack, self._eyes, self._connect = stack, eyes, connect

    def drive(self, seed: int, sentence: str, limit_s: float) -> Driven:
        """A new person drives the scene that was just laid out. Raises Gr00tError when nodes die or refuse."""
        self._eyes.scene(seed, sentence)
        self._looks: deque[tuple[float, Sight]] = deque()
        self._about, self._next_look_s, self._driven = "", 0.0, Driven()
        self._was_following = False
        deadline_s = time.monotonic() + _FIRST_LOOK_S
        while not self._looks:
            if time.monotonic() > deadline_s:
                raise BlindError(f"no message on 'sim/qpos' for {_FIRST_LOOK_S:.0f} s; is the simulator running?")
            time.sleep(_LOOK_PERIOD_S)
            self._look(time.monotonic())
        asyncio.run(self._drive(np.random.default_rng([seed, 0]), limit_s))
        return self._driven

    async def _drive(self, rng: np.random.Generator, limit_s: float) -> None:
        rate_hz = float(rng.choice(_RATES_HZ))
        person = Person(random_build(rng, comfortable(self._sight())), rng)
        operator = ScriptedOperator(person, self._sight, self._follows, time.monotonic)
        began_s = last_s = due_s = time.monotonic()
        sequence = 0
        async with self._connect() as client:
            hearing = asyncio.create_task(client.accepted().listen())
            for self._about in operator.pick_and_place():
                due_s = max(due_s + (1.0 + _JITTER * float(rng.normal())) / rate_hz, time.monotonic() - 0.5 / rate_hz)
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                now_s = time.monotonic()
                if now_s - began_s > limit_s or hearing.done():
                    break
                person.advance(now_s - last_s)
                last_s, sequence = now_s, sequence + 1
                sample = person.sample(int((now_s - began_s) * 1e9), sequence)
                await client.send(encode_frame(WebXrFrame(sample, has_button=False)))
                self._look(now_s)
            hearing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await hearing
        await asyncio.sleep(_VERDICT_S)  # the referee speaks five times a second
        seconds = last_s - began_s
        self._judge(operator, sequence / max(seconds, 1.0), seconds, timed_out=seconds > limit_s - 0.1)

    def _judge(self, operator: ScriptedOperator, rate_hz: float, seconds: float, *, timed_out: bool) -> None:
        verdict, driven = self._newest("sim/task_state"), self._driven
        driven.solved, driven.seconds = bool(verdict.success), seconds
        driven.grasps, driven.rate_hz = operator.tries, rate_hz
        if not driven.solved:
            why = operator.gave_up or ("the time was over" if timed_out else "the person thought it was done")
            teleop = self._newest("teleop/state")
            driven.reason = (
                f"{why} while: {self._about}; referee: {verdict.detail}; retargeter: {teleop.reason or 'well'}"
            )

    def _look(self, now_s: float) -> None:
        """A glance 20 times a second."""
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + _LOOK_PERIOD_S
        self._stack.processes.check()
        qpos, task = self._newest("sim/qpos"), self._newest("sim/task_state")
        if qpos is None or task is None:
            return
        positions = np.asarray(qpos.data)
        self._looks.append((now_s, self._eyes.look(positions)))
        while len(self._looks) > 1 and self._looks[1][0] < now_s - _REACTION_S:
            self._looks.popleft()
        driven = self._driven
        driven.slowest = min(driven.slowest, float(task.real_time_factor))
        meant = self._about.endswith("the clutch")
        driven.lapses += self._was_following and not self._follows() and not meant
        self._was_following = self._follows()
        driven.glances.append(Glance(now_s, positions, self._about, self._states()))

    def _sight(self) -> Sight:
        """What has reached the mind by now."""
        return self._looks[0][1]

    def _follows(self) -> bool:
        """The person hears or sees whether the robot follows: ``gr00t`` and the headset's colour say so."""
        state = self._newest("teleop/state")
        return state is not None and state.state in _FOLLOWING

    def _states(self) -> str:
        status, teleop = self._stack.status(), self._newest("teleop/state")
        said = f": {teleop.reason}" if teleop is not None and teleop.reason else ""
        return f"robot {'follows' if self._follows() else 'does not follow'}{said}   gate {status.gate}   {status.task_detail}"

    def _newest(self, topic: str) -> Any:
        return self._stack.recorder.newest(topic)
