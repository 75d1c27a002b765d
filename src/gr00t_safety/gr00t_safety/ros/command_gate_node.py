# SPDX-License-Identifier: Apache-2.0
"""Node ``command_gate``: policy or operator commands in, limited commands to the robot out. Logic in ``gate.py``."""

import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

from gr00t_msgs.msg import GateState
from rcl_interfaces.msg import SetParametersResult
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from gr00t_policy.core.command_wire import CommandReader, CommandWriter
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import ConfigError, MessageError
from gr00t_policy.core.joint_order import JointOrder
from gr00t_policy.core.joint_state_wire import JointStateReader
from gr00t_policy.ros import qos
from gr00t_policy.ros.diagnostics import PERIOD_S, Diagnostics
from gr00t_policy.ros.lifecycle import SuiteNode, run
from gr00t_policy.ros.loop_diagnostics import loop_status
from gr00t_policy.ros.news import News, Teller
from gr00t_policy.runtime.latency import RateMeter
from gr00t_policy.runtime.pacing import PacedLoop
from gr00t_policy.runtime.process_priority import raise_all_threads
from gr00t_policy.runtime.quiet_process import QuietProcess
from gr00t_safety.checks import Refusal
from gr00t_safety.config import DRY_RUN_TOPIC, ROBOT_TOPIC, SOURCES, GateConfig
from gr00t_safety.gate import Gate
from gr00t_safety.ladder import State
from gr00t_safety.publisher_count import PublisherCount
from gr00t_safety.report import GateReport
from gr00t_safety.ros.conversion import command_reader, report_to_message, report_to_statuses
from gr00t_safety.ros.services import GateServices

_LISTEN_S = 0.5
_DISCOVERY_S = 3.0  # of those that are there by a new process: 0.1 to 2.4 s seen
_REST_S = 4.0  # for a stop: the GR-1 needs 0.15 s, at the least acceleration_scale 20 times that
_STATE_PERIOD_S, _WATCH_PERIOD_S, _WARN_PERIOD_S, _RECOUNT_PERIOD_S = 0.5, 0.1, 1.0, 1.0


@dataclass(frozen=True)
class GateNews:
    """How the gate stood at one moment. stamp_ns: of ROS time."""

    gist: object
    report: GateReport
    stamp_ns: int
    rate_hz: float


class CommandGateNode(SuiteNode[GateConfig]):
    """Callbacks feed the gate, a paced thread ticks it; one lock keeps them apart. A third thread tells and logs its states:
    whoever changes one hands it over under the lock, so that they are told in the order in which they were.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("command_gate", GateConfig, **options)
        self._lock = threading.Lock()
        self._gate: Gate | None = None
        self._loop: PacedLoop | None = None
        self._process = QuietProcess()
        self._rate = RateMeter()
        self._made_s = time.monotonic()
        self._found: object = None  # under the lock
        self._told: object = None  # by the teller
        self._news = News[GateNews]()
        self._teller: Teller[GateNews] | None = None
        self._diagnostics = Diagnostics(self)
        self.add_on_set_parameters_callback(self._lower_speed)

    @property
    def gate(self) -> Gate:
        assert self._gate is not None, "configured first"
        return self._gate

    @property
    def _robots_topic(self) -> str:
        return DRY_RUN_TOPIC if self.gate.config.dry_run else ROBOT_TOPIC

    def configure(self, settings: GateConfig) -> None:
        embodiment = load_embodiment(settings.embodiment)
        self._gate = Gate(embodiment, settings)
        order = JointOrder(embodiment.joints)
        self._writer, self._joint_states = CommandWriter(order), JointStateReader(order)
        self._robot = self.keep_publisher(JointTrajectory, self._robots_topic, qos.COMMAND)
        self._state = self.keep_publisher(GateState, "command_gate/state", qos.LATCHED)
        self._teller = self.keep(Teller.stop, Teller(self._news, self._publish_state, "command_gate_teller"))
        self._teller.start()
        self.keep_subscription(JointState, "joint_states", self._on_joint_state, qos.SENSOR, raw=True)
        self._commanders = {source: PublisherCount() for source in SOURCES}
        for source in SOURCES:
            self._listen_to(source, command_reader(embodiment))
        self.keep(GateServices.destroy, GateServices(self, self._gate, self._lock, self._tell_state))
        for period_s, callback in (
            (_STATE_PERIOD_S, self._tell_state),
            (PERIOD_S, self._tell_diagnostics),
            (_WATCH_PERIOD_S, self._watch_loop),
            (_RECOUNT_PERIOD_S, self._recount),
        ):
            self.keep_timer(period_s, callback)
        if settings.process_priority > 0:
            raise_all_threads(settings.process_priority)
        self._tell_state()

    def activate(self) -> None:
        self._refuse_company()
        with self._lock:
            self.gate.activate()
        self._rate, config = RateMeter(), self.gate.config
        self._loop = PacedLoop(
            "command_gate",
            config.tick_rate_hz,
            self._tick,
            config.thread_priority,
            core=config.cpu_affinity,
            spare=self._process.spare,
            phase_ns=0,  # others may be in time for it
        )
        self._process.begin(lock_memory=config.lock_memory)
        self._loop.start()

    def deactivate(self) -> None:
        if self._loop is not None:
            self._come_to_rest(self._loop)
            self.stop_thread(self._loop)
            self._loop = None
        self._process.end()
        if self._gate is not None:
            with self._lock:
                self._gate.deactivate()
            self._tell_state()

    def cleanup(self) -> None:
        self._gate = None

    def _refuse_company(self) -> None:
        """Raises ConfigError where somebody else commands the robot, as a stack that was launched before. Listened to, not
        looked up: the graph of nodes also lists a gate that is inactive, and for some 20 s one that was killed."""
        listener = self.create_subscription(
            JointTrajectory, self._robots_topic, lambda data: None, qos.COMMAND, raw=True
        )
        try:
            deadline_s = max(time.monotonic() + _LISTEN_S, self._made_s + _DISCOVERY_S)
            while time.monotonic() < deadline_s:
                with listener.handle:
                    heard = listener.handle.take_message(listener.msg_type, listener.raw)
                if heard is not None:
                    topic = listener.topic_name
                    raise ConfigError(f"another node commands the robot on {topic}: only one gate may; end the other")
                time.sleep(_LISTEN_S / 50)
        finally:
            self.destroy_subscription(listener)

    def _come_to_rest(self, loop: PacedLoop) -> None:
        """A robot keeps what it was last told: were that in the midst of a motion, its drives would stop it at once."""
        with self._lock:
            self.gate.bring_to_rest()
        deadline_s = time.monotonic() + _REST_S
        while loop.is_alive and time.monotonic() < deadline_s:
            with self._lock:
                if self.gate.is_still:
                    return
            time.sleep(loop.period_ns / 1e9)

    def _listen_to(self, source: str, reader: CommandReader) -> None:
        self.keep_subscription(
            JointTrajectory,
            f"{source}/joint_trajectory",
            partial(self._on_command, source, reader),
            qos.COMMAND,
            raw=True,
            event_callbacks=SubscriptionEventCallbacks(matched=partial(self._on_matched, source)),
        )

    def _tick(self, now_ns: int) -> None:
        """One tick of the paced thread."""
        self._rate.add(now_ns)
        with self._lock:
            command = self.gate.tick(now_ns)
            answers_ns = self.gate.answers_ns
            if self.gate.gist != self._found:
                self._hand_over_state(now_ns)
        loop = self._loop  # taken away by a deactivation, which does not wait long
        if command is not None and loop is not None and not loop.is_stopping:
            self._robot.publish(self._writer.write(command, answers_ns))

    def _on_joint_state(self, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        refusal: Refusal | None
        try:
            positions, stamp_ns = self._joint_states.read(data)
        except MessageError as error:
            with self._lock:
                refusal = self.gate.unreadable_state(now_ns, str(error))
        else:
            with self._lock:
                refusal = self.gate.joint_state(now_ns, self._joint_states.names, positions, stamp_ns)
        if refusal is not None and not refusal.kind.expected:
            self.get_logger().warning(f"joint state: {refusal.text}", throttle_duration_sec=_WARN_PERIOD_S)

    def _on_command(self, source: str, reader: CommandReader, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        refusal: Refusal | None
        try:
            command, answers_ns = reader.read(data)
        except MessageError as error:
            with self._lock:
                refusal = self.gate.unreadable(now_ns, source, str(error))
        else:
            with self._lock:
                refusal = self.gate.command(now_ns, source, command, answers_ns)
        if refusal is not None and not refusal.kind.expected:
            text = f"command from '{source}' refused: {refusal.text}"
            self.get_logger().warning(text, throttle_duration_sec=_WARN_PERIOD_S)

    def _on_matched(self, source: str, status: Any) -> None:
        if self._gate is not None:  # an event may still come after cleanup
            self._commanders[source].event(status.current_count)
            with self._lock:
                self._gate.publishers(source, status.current_count)

    def _recount(self) -> None:
        for source, publishers in self._commanders.items():
            if publishers.graph(self.count_publishers(f"{source}/joint_trajectory")):
                self.get_logger().warning(f"'{source}': a publisher left without a word; {publishers.count} now")
                with self._lock:
                    self.gate.publishers(source, publishers.count)

    def _lower_speed(self, changes: list[Parameter]) -> SetParametersResult:
        try:
            for change in changes:
                if change.name == "speed_scale" and self._gate is not None:
                    with self._lock:
                        self._gate.set_speed_scale(change.value)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _tell_state(self) -> None:
        with self._lock:
            self._hand_over_state(time.monotonic_ns())

    def _hand_over_state(self, now_ns: int) -> None:
        """Under the lock."""
        self._found = self.gate.gist
        self._news.put(GateNews(self._found, self.gate.report(now_ns), self.now_ns, self._rate.rate_hz(now_ns)))

    def _publish_state(self, news: GateNews) -> None:
        """In the teller's thread."""
        told, self._told = self._told, news.gist
        if told != self._told:
            self._log_state(news.report)
        self._state.publish(report_to_message(news.report, news.stamp_ns, news.rate_hz))

    def _log_state(self, report: GateReport) -> None:
        """A robot that stands still says why in its log too, also when nobody listened to the state topic."""
        text = f"{report.state.name}: {report.reason}" if report.reason else report.state.name
        if report.state in (State.DAMPED, State.STOPPED):
            self.get_logger().error(text)
        else:
            self.get_logger().info(text)

    def _tell_diagnostics(self) -> None:
        with self._lock:
            report = self.gate.report(time.monotonic_ns())
        loop = loop_status("loop", self._loop, self.gate.config, self._process)
        self._diagnostics.publish(self.get_clock().now().to_msg(), [*report_to_statuses(report), loop])

    def _watch_loop(self) -> None:
        """A gate whose loop has died, or that tells nothing, must not look alive: raise here, which ends the process."""
        for thread in (self._loop, self._teller):
            if thread is not None and thread.failure is not None:
                raise thread.failure


def main() -> int:
    return run(CommandGateNode)


if __name__ == "__main__":
    sys.exit(main())
