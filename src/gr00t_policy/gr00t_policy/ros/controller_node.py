# SPDX-License-Identifier: Apache-2.0
"""Node ``controller``: joint states and conditioning tokens in, joint commands out. Logic in ``runtime/controller.py``."""

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from gr00t_msgs.msg import ActionChunk as ActionChunkMsg
from gr00t_msgs.msg import ConditioningTokens as ConditioningTokensMsg
from gr00t_msgs.msg import ControllerState, GateState
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from gr00t_policy.core.command_wire import CommandReader, CommandWriter
from gr00t_policy.core.errors import MessageError
from gr00t_policy.core.joint_order import JointOrder
from gr00t_policy.core.joint_state_wire import JointStateReader
from gr00t_policy.ros import qos
from gr00t_policy.ros.controller_report import report_to_message, report_to_statuses
from gr00t_policy.ros.diagnostics import PERIOD_S, Diagnostics
from gr00t_policy.ros.engine_status import engine_status
from gr00t_policy.ros.lifecycle import SuiteNode, run
from gr00t_policy.ros.loop_diagnostics import lead_values, loop_status
from gr00t_policy.ros.messages import (
    chunk_to_message,
    tokens_from_message,
)
from gr00t_policy.ros.news import NEWS_PERIOD_S, News
from gr00t_policy.runtime.arrivals import Arrivals
from gr00t_policy.runtime.backends import blank_tokens, default_cache, load_backend, open_checkpoint, shared_threads
from gr00t_policy.runtime.config import ControllerConfig
from gr00t_policy.runtime.controller import Controller, Mode
from gr00t_policy.runtime.gate_grid import GateRate
from gr00t_policy.runtime.head_worker import HeadWorker
from gr00t_policy.runtime.inputs import Verdict
from gr00t_policy.runtime.pacing import PacedLoop
from gr00t_policy.runtime.policy import Gr00tPolicy
from gr00t_policy.runtime.process_priority import lower_all_threads, raise_all_threads, raised
from gr00t_policy.runtime.quiet_process import QuietProcess
from gr00t_policy.runtime.tick_lead import HAND_OVER_NS, TickLead

_STATE_PERIOD_S = 0.5
_WARN_PERIOD_S = 1.0
_SOURCE = "policy"  # the command gate's name for these commands
_IN_TIME = 0.999  # of the commands: a longer lead makes none older while the joint state of that period is there
_WARM_HEAD = 3.0  # beside other processes the head's slowest evaluations take so many times its median in a row


class ControllerNode(SuiteNode[ControllerConfig]):
    """Callbacks keep the newest messages; a paced thread reads them and ticks the controller. It neither logs nor tells."""

    def __init__(self, **options: Any) -> None:
        super().__init__("controller", ControllerConfig, **options)
        self._made: Controller | None = None
        self._loop: PacedLoop | None = None
        self._worker: HeadWorker | None = None
        self._process = QuietProcess()
        self._found: object = None  # by the paced thread
        self._told: object = None
        self._news = News[tuple[Verdict, int]]()  # with the time since when it is true
        self._lead: TickLead | None = None
        self._arrivals: Arrivals | None = None  # of joint states
        self._joints: bytes | None = None
        self._read: bytes | None = None
        self._diagnostics = Diagnostics(self)

    @property
    def _controller(self) -> Controller:
        assert self._made is not None, "used before configure"
        return self._made

    def configure(self, settings: ControllerConfig) -> None:
        began_s = time.monotonic()
        checkpoint = open_checkpoint(settings.checkpoint, settings.embodiment, settings.tokenizer)
        checkpoint = checkpoint.with_steps(settings.steps)
        cache = settings.cache_folder or default_cache(Path.home())
        backend = load_backend(
            checkpoint,
            settings.engine,
            settings.precision,
            cache,
            part="head",
            dtype=settings.dtype,
            device=settings.device,
            threads=settings.threads or shared_threads(),
            fallback=settings.engine_fallback,
            exported=settings.exported,
            compiled=settings.compiled,
            staggered=settings.staggered,
        )
        loaded_s = time.monotonic() - began_s
        policy = Gr00tPolicy(checkpoint, backend, settings.seed, settings.noise_scale)
        controller = Controller(policy, settings, time.monotonic_ns)
        with raised(settings.process_priority):  # measured as it will run, whatever else is being started
            head = controller.warm_up(blank_tokens(checkpoint))
        self.get_logger().info(
            f"checkpoint {settings.checkpoint} ({checkpoint.hash[:12]}), engine {backend.report}, "
            f"loaded in {loaded_s:.1f} s: the head takes "
            f"{1e3 * head.p50_s:.2f} ms, mode {controller.mode.name}{', staggered' * controller.staggers}"
        )
        if settings.staggered and not controller.staggers:
            self.get_logger().warning(
                "not staggered: even one pass does not fit a tick, so the worker evaluates whole chunks"
            )
        self._config, self._engine = settings, backend.report
        self._head_in_tick_s = head.p50_s if controller.mode is Mode.EVERY_TICK else 0.0
        if settings.no_lead:
            self.get_logger().warning(f"{settings.no_lead}: they begin anywhere, and a command waits up to a period")
        self._gate_rate = GateRate(settings.gate_rate_hz)
        self._arrivals = Arrivals(settings.grid) if settings.grid is not None else None
        self._order = JointOrder(policy.embodiment.policy_joints)
        self._writer = CommandWriter(self._order)
        self._joint_states = JointStateReader(self._order)
        self._commands = self.keep_publisher(JointTrajectory, "policy/joint_trajectory", qos.COMMAND)
        self._chunks = self.keep_publisher(ActionChunkMsg, "action_chunk", qos.NEWEST)
        self._state = self.keep_publisher(ControllerState, "controller/state", qos.LATCHED)
        self._given = CommandReader(lambda names: JointOrder(policy.embodiment.policy_joints), others=True)
        self._made = controller
        self.keep_subscription(GateState, "command_gate/state", self._on_gate, qos.LATCHED)
        self.keep_subscription(JointTrajectory, "joint_trajectory", self._on_given, qos.COMMAND, raw=True)
        self.keep_subscription(JointState, "joint_states", self._on_joint_state, qos.SENSOR, raw=True)
        self.keep_subscription(ConditioningTokensMsg, "conditioning_tokens", self._on_tokens, qos.NEWEST)
        self.keep_timer(NEWS_PERIOD_S, self._tell_news)
        self.keep_timer(_STATE_PERIOD_S, self._tell_regularly)
        self.keep_timer(PERIOD_S, self._tell_diagnostics)
        self._tell_now()

    def activate(self) -> None:
        self._found = None
        self._controller.activate()
        self._read = self._joints
        config = self._config
        grid, first_ns = config.grid, round(1e9 * _WARM_HEAD * self._head_in_tick_s) + HAND_OVER_NS
        self._lead = TickLead(grid, config.tick_lead_s, first_ns, _IN_TIME) if grid is not None else None
        self._look_at_arrivals()
        self._loop = PacedLoop(
            "controller",
            config.rate_hz,
            self._tick,
            config.thread_priority,
            core=config.cpu_affinity,
            spare=self._process.spare,
            phase_ns=None if self._lead is None else -self._lead.lead_ns,
            grid=grid,
        )
        if self._controller.mode is Mode.WORKER:
            self._worker = HeadWorker(self._controller.evaluate_news)
        else:
            self._controller.prepares_apart = True
            news = self._controller.inputs.tokens_came
            self._worker = HeadWorker(self._controller.prepare_news, "tokens", news)
        self._worker.start()
        if self._controller.mode is Mode.EVERY_TICK and config.process_priority > 0:
            raise_all_threads(config.process_priority)
        self._process.begin(lock_memory=config.lock_memory)
        self._loop.start()

    def deactivate(self) -> None:
        for thread in (self._loop, self._worker):
            if thread is not None:
                self.stop_thread(thread)
        was_active, self._loop, self._worker = self._loop is not None, None, None
        self._process.end()
        if was_active and self._config.process_priority > 0:
            lower_all_threads()
        if self._made is not None:
            self._made.deactivate()
            self._tell_now()

    def cleanup(self) -> None:
        self._made = None

    def _tick(self, now_ns: int) -> None:
        """One tick of the paced thread."""
        now_ros_ns = self.now_ns
        self._read_joints(now_ns, now_ros_ns)
        command = self._controller.tick(now_ns, now_ros_ns)
        loop = self._loop  # taken away by a deactivation, which does not wait long
        if command is not None and loop is not None and not loop.is_stopping:
            self._commands.publish(self._writer.write(command, self._controller.answers_ns))
            if self._lead is not None:
                self._lead.sent(loop, time.monotonic_ns())
            chunk = self._controller.newest_chunk(now_ns)
            if chunk is not None:
                self._chunks.publish(chunk_to_message(chunk, self._order))
        verdict = self._controller.verdict
        if (found := (verdict.state, verdict.cause)) != self._found:
            self._found = found
            self._news.put((verdict, now_ros_ns))

    def _read_joints(self, now_ns: int, now_ros_ns: int) -> None:
        data = self._joints
        if data is None or data is self._read:
            return
        self._read = data
        try:
            positions, stamp_ns = self._joint_states.read(data)
        except MessageError as error:
            self._controller.inputs.refuse_state(str(error))
        else:
            self._controller.inputs.offer_state(positions, stamp_ns, now_ns, now_ros_ns)

    def _on_joint_state(self, data: bytes) -> None:
        self._joints = data
        if self._arrivals is not None:
            self._arrivals.came(time.monotonic_ns())

    def _look_at_arrivals(self) -> None:
        if self._lead is not None and self._arrivals is not None:
            self._lead.look_at_inputs(self._arrivals.leads_ns())

    def _on_tokens(self, message: ConditioningTokensMsg) -> None:
        try:
            self._controller.inputs.offer_tokens(tokens_from_message(message), time.monotonic_ns())
        except MessageError as error:
            self._controller.inputs.refuse_tokens(str(error))
            self.get_logger().warning(f"tokens refused: {error}", throttle_duration_sec=_WARN_PERIOD_S)

    def _on_gate(self, message: GateState) -> None:
        if message.state in (GateState.ACTIVE, GateState.HOLD) and (wrong := self._gate_rate.told(message.rate_hz)):
            self.get_logger().warning(wrong)
        drives = message.source == _SOURCE
        self._controller.hand_over.gate(others_drive=not drives, passes=drives and message.state == GateState.ACTIVE)

    def _on_given(self, data: bytes) -> None:
        """What the gate gives the robot; read only while someone else drives, since it comes 120 times a second."""
        if not self._controller.hand_over.waits:
            return
        try:
            command, _ = self._given.read(data)
        except MessageError as error:
            self.get_logger().warning(f"joint_trajectory refused: {error}", throttle_duration_sec=_WARN_PERIOD_S)
        else:
            self._controller.hand_over.given(command.positions, time.monotonic_ns())

    def _tell_regularly(self) -> None:
        for thread in (self._loop, self._worker):
            if thread is not None and thread.failure is not None:
                raise RuntimeError("the control loop or its head ended by an error") from thread.failure
        self._tell_now()

    def _tell_now(self) -> None:
        self._tell_news()
        self._tell_state(self._controller.verdict, self.now_ns)

    def _tell_news(self) -> None:
        for verdict, since_ns in self._news.take():
            self._tell_state(verdict, since_ns)

    def _tell_state(self, verdict: Verdict, since_ns: int) -> None:
        report = replace(self._controller.report(time.monotonic_ns(), self.now_ns), verdict=verdict)
        told, self._told = self._told, (verdict.state, verdict.cause)
        if told != self._told:
            self.get_logger().info(f"{verdict.state.name}: {verdict.detail}" if verdict.detail else verdict.state.name)
        self._state.publish(report_to_message(report, since_ns, self._loop))

    def _tell_diagnostics(self) -> None:
        self._look_at_arrivals()
        lead = lead_values(self._lead, self._config.no_lead)
        report = self._controller.report(time.monotonic_ns(), self.now_ns)
        loop = loop_status("control loop", self._loop, self._config, self._process, lead)
        statuses = [*report_to_statuses(report), loop, engine_status(self._engine)]
        self._diagnostics.publish(self.get_clock().now().to_msg(), statuses)


def main() -> int:
    return run(ControllerNode)


if __name__ == "__main__":
    sys.exit(main())
