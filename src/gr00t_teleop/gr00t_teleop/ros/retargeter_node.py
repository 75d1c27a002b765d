# SPDX-License-Identifier: Apache-2.0
"""Node ``retargeter``: the person's samples and joint states in, joint commands out. Logic in ``retargeting/retargeter.py``."""

import sys
import threading
import time
from dataclasses import dataclass, replace
from typing import Any

from gr00t_msgs.msg import GateState, TeleopState
from gr00t_msgs.msg import OperatorState as OperatorStateMsg
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from gr00t_policy.core.command_wire import CommandReader, CommandWriter
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import MessageError
from gr00t_policy.core.joint_order import JointOrder
from gr00t_policy.core.joint_state_wire import JointStateReader
from gr00t_policy.ros import qos
from gr00t_policy.ros.diagnostics import PERIOD_S, Diagnostics
from gr00t_policy.ros.lifecycle import SuiteNode, run
from gr00t_policy.ros.loop_diagnostics import lead_values, loop_status
from gr00t_policy.ros.news import News, Teller
from gr00t_policy.runtime.gate_grid import GateRate
from gr00t_policy.runtime.pacing import PacedLoop
from gr00t_policy.runtime.process_priority import lower_all_threads, raise_all_threads
from gr00t_policy.runtime.quiet_process import QuietProcess
from gr00t_policy.runtime.tick_lead import USUAL_HAND_OVER_NS, TickLead
from gr00t_teleop.operator_wire import state_from_cdr
from gr00t_teleop.retargeting.config import RetargeterConfig
from gr00t_teleop.retargeting.engagement import State
from gr00t_teleop.retargeting.retargeter import Retargeter
from gr00t_teleop.ros.retargeter_report import gate_trouble, report_to_message, report_to_statuses
from gr00t_teleop.ros.retargeter_services import RetargeterServices

# Samples of a person come at any phase, so each is older by the whole lead: more in time, and the median misses its goal of 8 ms
# (docs/teleoperation.md).
_IN_TIME = 0.95
_FIRST_LEAD_NS = 1_500_000  # 0.8 ms of a tick and the hand-over, until ticks were measured
_STATE_PERIOD_S, _WATCH_PERIOD_S, _WARN_PERIOD_S = 0.5, 0.1, 1.0


@dataclass(frozen=True)
class StateNews:
    """What was found at one moment. stamp_ns: of ROS time."""

    state: State
    reason: str
    stamp_ns: int


class RetargeterNode(SuiteNode[RetargeterConfig]):
    """Callbacks hand over the newest messages, a paced thread ticks; one lock keeps them apart. A third thread tells and logs
    states: whoever changes one hands it over under the lock, so that they are told in the order in which they were.

    What comes often comes as bytes, and is read under the lock: during a tick nobody else then needs the interpreter for
    more than to ask for it. A sample that was read beside a tick made that tick 0.4 ms longer.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("retargeter", RetargeterConfig, **options)
        self._lock = threading.Lock()
        self._made: Retargeter | None = None
        self._loop: PacedLoop | None = None
        self._process = QuietProcess()
        self._lead: TickLead | None = None
        self._found: object = None  # under the lock
        self._told: object = None  # by the teller
        self._news = News[StateNews]()
        self._teller: Teller[StateNews] | None = None
        self._diagnostics = Diagnostics(self)

    @property
    def retargeter(self) -> Retargeter:
        assert self._made is not None, "configured first"
        return self._made

    def configure(self, settings: RetargeterConfig) -> None:
        embodiment = load_embodiment(settings.embodiment)
        self._made = Retargeter(embodiment, settings)
        self._joint_states = JointStateReader(JointOrder(embodiment.joints))
        self._given = CommandReader(lambda names: JointOrder(embodiment.joints))
        self._writer = CommandWriter(JointOrder([embodiment.joint(name) for name in self._made.names]))
        self._commands = self.keep_publisher(JointTrajectory, "teleop/joint_trajectory", qos.COMMAND)
        self._state = self.keep_publisher(TeleopState, "teleop/state", qos.LATCHED)
        self._teller = self.keep(Teller.stop, Teller(self._news, self._publish_state, "retargeter_teller"))
        self._teller.start()
        self._gate_rate = GateRate(settings.gate_rate_hz)
        if settings.no_lead:
            self.get_logger().warning(f"{settings.no_lead}: they begin anywhere, and a command waits up to a period")
        self.keep_subscription(OperatorStateMsg, "operator_state", self._on_operator, qos.SENSOR, raw=True)
        self.keep_subscription(JointState, "joint_states", self._on_joint_state, qos.SENSOR, raw=True)
        self.keep_subscription(GateState, "command_gate/state", self._on_gate, qos.LATCHED)
        self.keep_subscription(JointTrajectory, "joint_trajectory", self._on_given, qos.COMMAND, raw=True)
        self.keep(RetargeterServices.destroy, RetargeterServices(self, self._made, self._lock, self._tell_state))
        self.keep_timer(_STATE_PERIOD_S, self._tell_state)
        self.keep_timer(PERIOD_S, self._tell_diagnostics)
        self.keep_timer(_WATCH_PERIOD_S, self._watch_loop)
        self._tell_state()

    def activate(self) -> None:
        with self._lock:
            self.retargeter.activate()
        config, grid = self.retargeter.config, self.retargeter.config.grid
        self._lead = None
        if grid is not None:
            self._lead = TickLead(grid, config.tick_lead_s, _FIRST_LEAD_NS, _IN_TIME, USUAL_HAND_OVER_NS)
        self._loop = PacedLoop(
            "retargeter",
            config.rate_hz,
            self._tick,
            config.thread_priority,
            core=config.cpu_affinity,
            spare=self._process.spare,
            phase_ns=None if self._lead is None else -self._lead.lead_ns,
            grid=grid,
        )
        self._process.begin(lock_memory=config.lock_memory)
        if config.process_priority > 0:
            raise_all_threads(config.process_priority)
        self._loop.start()

    def deactivate(self) -> None:
        if self._loop is not None:
            self.stop_thread(self._loop)
            self._loop = None
            if self.retargeter.config.process_priority > 0:
                lower_all_threads()
        self._process.end()
        if self._made is not None:
            with self._lock:
                self._made.deactivate()
            self._tell_state()

    def cleanup(self) -> None:
        self._made = None

    def _tick(self, now_ns: int) -> None:
        """One tick of the paced thread."""
        with self._lock:
            command = self.retargeter.tick(now_ns, self.now_ns)
            answers_ns = self.retargeter.answers_ns
            found = self.retargeter.engagement
            if _kind(found.state, found.reason) != self._found:
                self._hand_over_state()
            if command is not None:
                self.retargeter.solve.add((time.monotonic_ns() - now_ns) / 1e9)
        loop = self._loop  # taken away by a deactivation, which does not wait long
        if command is not None and loop is not None and not loop.is_stopping:
            self._commands.publish(self._writer.write(command, answers_ns))
            if self._lead is not None:
                self._lead.sent(loop, time.monotonic_ns())
            with self._lock:
                self.retargeter.prepare()

    def _on_operator(self, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        try:
            with self._lock:
                self.retargeter.operator(state_from_cdr(data), now_ns)
                self.retargeter.take_in(now_ns, self.now_ns)
        except MessageError as error:
            with self._lock:
                self.retargeter.samples.rejected += 1
            self.get_logger().warning(f"operator state refused: {error}", throttle_duration_sec=_WARN_PERIOD_S)

    def _on_joint_state(self, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        try:
            with self._lock:
                self.retargeter.measured(*self._joint_states.read(data), now_ns)
        except MessageError as error:
            self.get_logger().warning(f"joint state refused: {error}", throttle_duration_sec=_WARN_PERIOD_S)

    def _on_gate(self, message: GateState) -> None:
        if message.state in (GateState.ACTIVE, GateState.HOLD) and (wrong := self._gate_rate.told(message.rate_hz)):
            self.get_logger().warning(wrong)
        with self._lock:
            self.retargeter.gate(gate_trouble(message), time.monotonic_ns())

    def _on_given(self, data: bytes) -> None:
        """What the gate gives the robot; read only while it counts, since it comes 120 times a second."""
        if not self.retargeter.waits_for_gate:
            return
        now_ns = time.monotonic_ns()
        try:
            command, _ = self._given.read(data)
        except MessageError as error:
            self.get_logger().warning(f"joint_trajectory refused: {error}", throttle_duration_sec=_WARN_PERIOD_S)
        else:
            with self._lock:
                self.retargeter.given(command.positions, now_ns)

    def _tell_state(self) -> None:
        with self._lock:
            self._hand_over_state()

    def _hand_over_state(self) -> None:
        """Under the lock."""
        found = self.retargeter.engagement
        self._found = _kind(found.state, found.reason)
        self._news.put(StateNews(found.state, found.reason, self.now_ns))

    def _publish_state(self, news: StateNews) -> None:
        """In the teller's thread."""
        with self._lock:
            report = self.retargeter.report(time.monotonic_ns(), self.now_ns)
        told, self._told = self._told, _kind(news.state, news.reason)
        if told != self._told:
            self.get_logger().info(f"{news.state.name}: {news.reason}" if news.reason else news.state.name)
        self._state.publish(report_to_message(replace(report, state=news.state, reason=news.reason), news.stamp_ns))

    def _tell_diagnostics(self) -> None:
        with self._lock:
            report = self.retargeter.report(time.monotonic_ns(), self.now_ns)
        lead = lead_values(self._lead, self.retargeter.config.no_lead)
        loop = loop_status("loop", self._loop, self.retargeter.config, self._process, lead)
        self._diagnostics.publish(self.get_clock().now().to_msg(), [*report_to_statuses(report), loop])

    def _watch_loop(self) -> None:
        """A retargeter whose loop has died, or that tells nothing, must not look alive: raise, which ends the process."""
        for thread in (self._loop, self._teller):
            if thread is not None and thread.failure is not None:
                raise thread.failure


def _kind(state: State, reason: str) -> tuple[State, str]:
    """What makes a state another: a reason that only counts on, as an age does, is no news."""
    return state, reason.rstrip("0123456789. ms")


def main() -> int:
    return run(RetargeterNode)


if __name__ == "__main__":
    sys.exit(main())
