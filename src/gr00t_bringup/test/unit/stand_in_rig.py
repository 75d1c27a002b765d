# SPDX-License-Identifier: Apache-2.0
"""A person with a headset, retargeter, gate and simulated robot on one fake clock, without ROS and without waiting."""

from collections import deque

import numpy as np

from gr00t_bringup.stand_in.eyes import Eyes, Sight
from gr00t_bringup.stand_in.operator import ScriptedOperator, comfortable
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_safety.config import GateConfig
from gr00t_safety.gate import Gate
from gr00t_sim.simulation import TabletopSim
from gr00t_teleop.devices.clutch_gesture import ClutchGesture
from gr00t_teleop.devices.sample_stream import SampleStream
from gr00t_teleop.devices.webxr_frame import WebXrFrame, decode_frame, encode_frame
from gr00t_teleop.person.person import Person, random_build
from gr00t_teleop.retargeting.config import RetargeterConfig
from gr00t_teleop.retargeting.retargeter import Retargeter
from gr00t_teleop.types import OperatorState

GR1 = load_embodiment("gr1")
HZ = 120
_EPOCH_NS = 1_700_000_000 * 10**9  # stamps never come from the steady clock
_SEEN_LATE_TICKS = 18  # a person's eyes and mind take 0.15 s
_TICKS_PER_LOOK, _TICKS_PER_SAMPLE = 6, 2


class StandInRig:
    """One scene from the start to the referee's word."""

    def __init__(self, task: str, seed: int) -> None:
        self.sim, self.eyes = TabletopSim(task), Eyes(task)
        sentence = self.sim.reset(seed)
        self.eyes.scene(seed, sentence)
        self.retargeter = Retargeter(GR1, RetargeterConfig())
        self.gate = Gate(GR1, GateConfig(default_source="teleop"))
        self.retargeter.activate()
        self.gate.activate()
        self.now_ns, self._ticks, self._steps = 10**9, 0, 0
        self._looks: deque[Sight] = deque([self._look()], maxlen=_SEEN_LATE_TICKS)
        rng = np.random.default_rng([seed, 7])
        self._person = Person(random_build(rng, comfortable(self._looks[0])), rng)
        self.operator = ScriptedOperator(
            self._person,
            lambda: self._looks[0],
            lambda: self.retargeter.engagement.is_engaged,
            lambda: self.now_ns / 1e9,
        )
        self._stream, self._gesture = SampleStream("webxr"), ClutchGesture()

    def run(self, limit_s: float) -> bool:
        """Whether the scene was solved in time."""
        for _ in self.operator.pick_and_place():
            for _ in range(_TICKS_PER_SAMPLE):
                self._tick()
            if self.now_ns > limit_s * 1e9 or self.sim.task_state().success:
                break
            self._send()
        return self.sim.task_state().success

    def _send(self) -> None:
        """One sample of the headset, through the bytes of the page."""
        self._person.advance(_TICKS_PER_SAMPLE / HZ)
        page = encode_frame(WebXrFrame(self._person.sample(self.now_ns, self._ticks), has_button=False))
        sample = self._gesture.read(decode_frame(page, 1).sample, self.now_ns)
        self._stream.push(sample, _EPOCH_NS + self.now_ns, self._hear)

    def _hear(self, state: OperatorState) -> None:
        self.retargeter.operator(state, self.now_ns)

    def _tick(self) -> None:
        """1/120 s of retargeter, gate and physics."""
        self.now_ns += self.retargeter.tick_ns
        self._ticks += 1
        stamp_ns, positions = _EPOCH_NS + self.now_ns, self.sim.joint_positions()
        self.retargeter.measured(positions, stamp_ns, self.now_ns)
        self.gate.joint_state(self.now_ns, GR1.joint_names, positions, stamp_ns)
        command = self.retargeter.tick(self.now_ns, stamp_ns)
        if command is not None:
            self.gate.command(self.now_ns, "teleop", command, stamp_ns)
        passed = self.gate.tick(self.now_ns)
        if passed is not None:
            targets = self.sim.joint_targets()
            targets[[GR1.joint_names.index(name) for name in passed.joint_names]] = passed.positions
            self.sim.set_targets(targets, 1 / HZ)
        due = round(self._ticks / HZ / self.sim.timestep_s)
        self.sim.step_physics(due - self._steps)
        self._steps = due
        self._looks.append(self._look() if self._ticks % _TICKS_PER_LOOK == 0 else self._looks[-1])

    def _look(self) -> Sight:
        return self.eyes.look(self.sim.data.qpos.copy())
