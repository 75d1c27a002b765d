# SPDX-License-Identifier: Apache-2.0
"""Node ``planner``: camera images and a sentence in, conditioning tokens out. Logic in ``planner.py``."""

import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from gr00t_msgs.msg import ConditioningTokens as ConditioningTokensMsg
from gr00t_msgs.msg import PlannerState
from sensor_msgs.msg import Image
from std_msgs.msg import String

from gr00t_planner.camera_phase import CameraPhase
from gr00t_planner.config import PlannerConfig
from gr00t_planner.planner import Planner, Verdict
from gr00t_planner.ros.planner_report import report_to_message, report_to_statuses
from gr00t_policy.core.errors import MessageError
from gr00t_policy.core.picture_message import image_to_rgb
from gr00t_policy.ros import qos
from gr00t_policy.ros.diagnostics import PERIOD_S, Diagnostics
from gr00t_policy.ros.engine_status import engine_status
from gr00t_policy.ros.lifecycle import SuiteNode, run
from gr00t_policy.ros.loop_diagnostics import loop_status
from gr00t_policy.ros.messages import ns_from_stamp, tokens_to_message
from gr00t_policy.ros.news import NEWS_PERIOD_S, News
from gr00t_policy.runtime.backends import TimedBackend, default_cache, load_backend, open_checkpoint, shared_threads
from gr00t_policy.runtime.pacing import PacedLoop
from gr00t_policy.runtime.policy import Gr00tPolicy
from gr00t_policy.runtime.quiet_process import QuietProcess

_STATE_PERIOD_S = 0.5
_WARN_PERIOD_S = 1.0


class PlannerNode(SuiteNode[PlannerConfig]):
    """Callbacks offer images and sentences; a paced thread encodes and publishes. It neither logs nor tells states."""

    def __init__(self, **options: Any) -> None:
        super().__init__("planner", PlannerConfig, **options)
        self._made: Planner | None = None
        self._loop: PacedLoop | None = None
        self._process = QuietProcess()
        self._found: object = None  # by the paced thread
        self._told: object = None
        self._news = News[tuple[Verdict, int]]()  # with the time since when it is true
        self._diagnostics = Diagnostics(self)

    @property
    def _planner(self) -> Planner:
        assert self._made is not None, "used before configure"
        return self._made

    def configure(self, settings: PlannerConfig) -> None:
        began_s = time.monotonic()
        checkpoint = open_checkpoint(settings.checkpoint, settings.embodiment, settings.tokenizer)
        cache = settings.cache_folder or default_cache(Path.home())
        engine = load_backend(
            checkpoint,
            settings.engine,
            settings.precision,
            cache,
            part="encoder",
            dtype=settings.dtype,
            device=settings.device,
            threads=settings.threads or shared_threads(),
            fallback=settings.engine_fallback,
            exported=settings.exported,
            compiled=settings.compiled,
        )
        loaded_s = time.monotonic() - began_s
        backend = TimedBackend(engine, time.monotonic_ns)
        policy = Gr00tPolicy(checkpoint, backend)
        planner = Planner(policy, settings, time.monotonic_ns, lambda: backend.encode_s)
        took_s = planner.warm_up()
        self.get_logger().info(
            f"checkpoint {settings.checkpoint} ({checkpoint.hash[:12]}), engine {engine.report}, "
            f"loaded in {loaded_s:.1f} s: encoding takes "
            f"{1e3 * took_s:.1f} ms"
        )
        self._config, self._hash, self._engine = settings, checkpoint.hash, engine.report
        self._frame_id = policy.embodiment.cameras[0].frame_id
        self._phase = CameraPhase(round(1e9 / settings.rate_hz))
        self._tokens = self.keep_publisher(ConditioningTokensMsg, "conditioning_tokens", qos.NEWEST)
        self._state = self.keep_publisher(PlannerState, "planner/state", qos.LATCHED)
        self._made = planner
        for camera in policy.embodiment.cameras:
            topic, callback = f"camera/{camera.name}/image_raw", partial(self._on_image, camera.name)
            self.keep_subscription(Image, topic, callback, qos.SENSOR)
        self.keep_subscription(String, "language_command", self._on_sentence, qos.LANGUAGE)
        self.keep_timer(NEWS_PERIOD_S, self._tell_news)
        self.keep_timer(_STATE_PERIOD_S, self._tell_regularly)
        self.keep_timer(PERIOD_S, self._tell_diagnostics)
        self._tell_now()

    def activate(self) -> None:
        self._found = None
        self._planner.activate()
        config = self._config
        self._loop = PacedLoop(
            "planner",
            config.rate_hz,
            self._tick,
            config.thread_priority,
            core=config.cpu_affinity,
            spare=self._process.spare,
            phase_ns=self._phase.first_phase_ns if config.follow_camera else None,
        )
        self._process.begin(lock_memory=config.lock_memory)
        self._loop.start()
        self._tell_now()

    def deactivate(self) -> None:
        if self._loop is not None:
            self.stop_thread(self._loop)
            self._loop = None
        self._process.end()
        if self._made is not None:
            self._made.deactivate()
            self._tell_now()

    def cleanup(self) -> None:
        self._made = None

    def _tick(self, now_ns: int) -> None:
        """One tick of the paced thread."""
        self._phase.ticked(now_ns)
        tokens = self._planner.tick(now_ns, self.now_ns)
        if tokens is not None:
            try:
                self._tokens.publish(tokens_to_message(tokens, self._config.wire_type, self._frame_id))
            except MessageError as error:
                self._planner.refuse_tokens(str(error))
        verdict = self._planner.verdict
        if verdict != self._found:
            self._found = verdict
            self._news.put((verdict, self.now_ns))

    def _on_image(self, camera: str, message: Image) -> None:
        try:
            refusal = self._planner.image(
                camera, image_to_rgb(message), ns_from_stamp(message.header.stamp), self.now_ns
            )
        except MessageError as error:
            refusal = self._planner.refuse_image("unreadable", str(error))
        if refusal is None:
            self._phase.came(time.monotonic_ns())
        else:
            self.get_logger().warning(f"image refused: {refusal}", throttle_duration_sec=_WARN_PERIOD_S)

    def _on_sentence(self, message: String) -> None:
        refusal = self._planner.instruction(message.data)
        if refusal is not None:
            self.get_logger().warning(refusal, throttle_duration_sec=_WARN_PERIOD_S)
        self._tell_now()

    def _tell_regularly(self) -> None:
        if self._loop is not None and self._loop.failure is not None:
            raise RuntimeError("the planner's loop ended by an error") from self._loop.failure
        self._tell_now()

    def _tell_now(self) -> None:
        self._tell_news()
        self._tell_state(self._planner.verdict, self.now_ns)

    def _tell_news(self) -> None:
        for verdict, since_ns in self._news.take():
            self._tell_state(verdict, since_ns)

    def _tell_state(self, verdict: Verdict, since_ns: int) -> None:
        report = replace(self._planner.report(time.monotonic_ns(), self.now_ns), verdict=verdict)
        told, self._told = self._told, report.verdict
        if told != self._told:
            detail = f": {report.verdict.detail}" if report.verdict.detail else ""
            self.get_logger().info(f"{report.verdict.state.name}{detail}")
        self._state.publish(report_to_message(report, since_ns, self._hash))

    def _tell_diagnostics(self) -> None:
        if self._loop is not None and self._config.follow_camera:
            self._loop.move(self._phase.move_ns())
        report = self._planner.report(time.monotonic_ns(), self.now_ns)
        loop = loop_status("loop", self._loop, self._config, self._process)
        statuses = [*report_to_statuses(report), loop, engine_status(self._engine)]
        self._diagnostics.publish(self.get_clock().now().to_msg(), statuses)


def main() -> int:
    return run(PlannerNode)


if __name__ == "__main__":
    sys.exit(main())
