# SPDX-License-Identifier: Apache-2.0
"""One scene driven by the scripted operator: real time, the headset's connection, and eyes fed by ``sim/qpos``."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import aiohttp
import numpy as np
from gr00t_msgs.msg import TeleopState
from numpy.typing import NDArray

from gr00t_bringup.processes import ProcessDiedError
from gr00t_bringup.ros.stack import RunningStack
from gr00t_bringup.stand_in.eyes import Eyes, Sight
from gr00t_bringup.stand_in.operator import ScriptedOperator, comfortable
from gr00t_policy.core.errors import Gr00tError
from gr00t_teleop.devices.webxr_client import WebXrClient
from gr00t_teleop.devices.webxr_frame import WebXrFrame, encode_frame
from gr00t_teleop.person.person import Person, random_build

Vector = NDArray[np.float64]

_REACTION_S = 0.15  # from what happens to what the hands do about it
_LOOK_PERIOD_S, _WATCH_PERIOD_S = 0.05, 1.0
_RATES_HZ = (72.0, 80.0, 90.0)  # displays of headsets in use
_JITTER = 0.06  # of a sample period, standard deviation
_FIRST_LOOK_S, _VERDICT_S = 10.0, 1.0
_FORGET_S = 0.3  # after a reset: messages about the scene before are no longer the newest
_FOLLOWING = (TeleopState.ENGAGED, TeleopState.HOLDING)


class StandInError(Gr00tError):
    """The stand-in sees nothing, or nobody takes its headset."""


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
        self._died: ProcessDiedError | None = None
        time.sleep(_FORGET_S)
        deadline_s = time.monotonic() + _FIRST_LOOK_S
        while not self._looks:
            if time.monotonic() > deadline_s:
                raise StandInError(f"no message on 'sim/qpos' for {_FIRST_LOOK_S:.0f} s; is the simulator running?")
            time.sleep(_LOOK_PERIOD_S)
            self._look(time.monotonic())
        asyncio.run(self._drive(np.random.default_rng([seed, 0]), limit_s))
        return self._driven

    async def _drive(self, rng: np.random.Generator, limit_s: float) -> None:
        rate_hz = float(rng.choice(_RATES_HZ))
        person = Person(random_build(rng, comfortable(self._sight())), rng)
        operator = ScriptedOperator(person, self._sight, self._follows, time.monotonic)
        try:
            async with self._connect() as client:
                beside = [asyncio.create_task(work) for work in (client.accepted().listen(), self._watch())]
                over = await self._send(client, person, operator, rng, rate_hz, limit_s)
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)
        except aiohttp.ClientError as error:
            raise StandInError(f"the page of the operator node does not answer the headset: {error}") from error
        await asyncio.sleep(_VERDICT_S)  # the referee speaks five times a second
        self._judge(operator, over)

    async def _watch(self) -> None:
        """Nodes that die end the scene. In a thread: looking takes longer than a headset may be silent."""
        while True:
            await asyncio.sleep(_WATCH_PERIOD_S)
            try:
                await asyncio.to_thread(self._stack.processes.check)
            except ProcessDiedError as error:
                self._died = error

    async def _send(
        self,
        client: WebXrClient,
        person: Person,
        operator: ScriptedOperator,
        rng: np.random.Generator,
        rate_hz: float,
        limit_s: float,
    ) -> str:
        """The headset's frames while the person acts; '' or what ended it before the person did."""
        began_s = last_s = due_s = time.monotonic()
        for sequence, self._about in enumerate(operator.pick_and_place(), 1):
            due_s = max(due_s + (1.0 + _JITTER * float(rng.normal())) / rate_hz, time.monotonic() - 0.5 / rate_hz)
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            now_s = time.monotonic()
            person.advance(now_s - last_s)
            last_s = now_s
            self._driven.seconds = now_s - began_s
            self._driven.rate_hz = sequence / max(now_s - began_s, 1.0)
            if self._died is not None:
                raise self._died
            if now_s - began_s > limit_s:
                return "the time was over"
            try:
                await client.send(
                    encode_frame(WebXrFrame(person.sample(int((now_s - began_s) * 1e9), sequence), False))
                )
            except ConnectionError:
                return f"the operator node closed the connection ({client.socket.close_code})"
            self._look(now_s)
        return ""

    def _judge(self, operator: ScriptedOperator, over: str) -> None:
        verdict, driven = self._newest("sim/task_state"), self._driven
        driven.solved, driven.grasps = bool(verdict.success), operator.tries
        if not driven.solved:
            why = over or operator.gave_up or "the person thought it was done"
            teleop = self._newest("teleop/state")
            driven.reason = (
                f"{why}, while: {self._about}; referee: {verdict.detail}; retargeter: {teleop.reason or 'well'}"
            )

    def _look(self, now_s: float) -> None:
        """A glance 20 times a second."""
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + _LOOK_PERIOD_S
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
