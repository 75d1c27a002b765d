# SPDX-License-Identifier: Apache-2.0
"""A gamepad over sensor_msgs/Joy, for people without a headset: a made-up person whose wrists its sticks move."""

import time
from collections import Counter
from collections.abc import Callable, Mapping

from gr00t_teleop.devices.device import Clock, Deliver, Device
from gr00t_teleop.devices.device_clock import DeviceClock
from gr00t_teleop.devices.gamepad_motion import HELP, GamepadMotion, flaw
from gr00t_teleop.devices.sample_checks import CheckLimits
from gr00t_teleop.devices.sample_stream import SampleStream
from gr00t_teleop.devices.topics import Heard, SoleSender, Topics, stamp_ns

TOPIC = "joy"
_TYPE = "sensor_msgs/msg/Joy"
_PERIOD_S = 1 / 60
_SAYS_LOST_NS = 1_000_000_000  # for so long samples say that the pad is lost; then there are none


class Gamepad(Device):
    """The dead-man button is the clutch. Samples come at 60 Hz once the pad has spoken."""

    source = "gamepad"

    def __init__(
        self,
        speed_m_s: float,
        turn_rad_s: float,
        max_age_s: float,
        topics: Topics,
        now_ns: Clock,
        log: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._topics, self._now_ns, self._log = topics, now_ns, log
        self._motion = GamepadMotion(speed_m_s, turn_rad_s)
        self._stream = SampleStream(self.source, CheckLimits(freeze_s=0.0))  # a hand without a stick rests
        self._sender = SoleSender(topics, time.monotonic_ns)
        self._clock, self._max_age_ns = DeviceClock(), int(max_age_s * 1e9)
        self._counts: Counter[str] = Counter({"joy": 0, "joy_late": 0, "joy_refused": 0})
        self._heard_ns: int | None = None
        self._why = ""

    def open(self) -> None:
        self._topics.open({TOPIC: _TYPE})
        self._motion.lose()
        self._heard_ns, self._why = None, ""
        self._log(HELP)

    def close(self) -> None:
        self._topics.close()

    def run(self, deliver: Deliver) -> None:
        due_s = time.monotonic()
        while not self.stopping.is_set():
            for heard in self._topics.take(max(0.0, due_s - time.monotonic())):
                self._hear(heard)
            if time.monotonic() < due_s:
                continue
            due_s = max(due_s + _PERIOD_S, time.monotonic())
            now_ns = time.monotonic_ns()
            if self._heard_ns is not None and now_ns - self._heard_ns < _SAYS_LOST_NS:
                self._stream.push(self._motion.advance(now_ns), self._now_ns(), deliver)

    def silence(self) -> str:
        if not self.is_running:
            return "the device does not run"
        if self._motion.is_silent(time.monotonic_ns()):
            return (
                self._why or f"no gamepad on '{TOPIC}'; start `ros2 run joy game_controller_node` and switch the pad on"
            )
        if self._motion.is_stuck:
            return "the gamepad said the same for 2 s with a stick deflected and counts as lost; let it go, press again"
        return self._why

    def counters(self) -> Mapping[str, int]:
        return {**self._counts, "stuck": self._motion.stuck, **self._stream.counters()}

    def _hear(self, heard: Heard) -> None:
        """A state that may be believed goes on; any other opens the clutch, unless it is only old."""
        self._counts["joy"] += 1
        given_ns = stamp_ns(heard.message.header)
        if given_ns is not None:
            age_ns = heard.arrival_ns - self._clock.to_receiver_ns(given_ns, heard.arrival_ns)
            if age_ns > self._max_age_ns:
                self._counts["joy_late"] += 1
                return
        axes, buttons = list(heard.message.axes), list(heard.message.buttons)
        self._why = self._sender.crowd(TOPIC) or flaw(axes, buttons)
        if self._why:
            self._counts["joy_refused"] += 1
            self._motion.lose()
            return
        self._heard_ns = time.monotonic_ns()
        self._motion.hear(axes, buttons, self._heard_ns)
