# SPDX-License-Identifier: Apache-2.0
"""Sends tokens as the planner does, and writes down when; takes camera images beside it where the plan says so. A program.

``python -m gr00t_bringup.ros.token_sender PLAN TIMES``: ends by itself when all messages of the plan are sent.
"""

import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import rclpy
from gr00t_msgs.msg import ConditioningTokens as ConditioningTokensMsg
from rclpy.node import Node
from sensor_msgs.msg import Image

from gr00t_bringup.bench.token_plan import WIDTH, MessageKind, Times, TokenPlan
from gr00t_planner.config import PlannerConfig
from gr00t_policy.core.errors import Gr00tError
from gr00t_policy.core.picture_message import image_to_rgb
from gr00t_policy.core.types import ConditioningTokens
from gr00t_policy.ros import qos
from gr00t_policy.ros.lifecycle import make_executor, spin_for
from gr00t_policy.ros.messages import tokens_to_message
from gr00t_policy.ros.transport import init_ros
from gr00t_policy.runtime.pacing import PacedLoop
from gr00t_policy.runtime.quiet_process import QuietProcess

CAMERA = "camera/ego_view/image_raw"
_FIND_S, _SETTLE_S, _LINGER_S, _SPIN_S = 30.0, 1.0, 1.0, 0.1


class TokenSender(Node):
    """``tick`` is for a paced loop; ``done`` is set when all is sent, ``steps`` has the times of each message."""

    def __init__(self, plan: TokenPlan) -> None:
        super().__init__("token_sender", start_parameter_services=False)
        self.steps: dict[int, tuple[int, ...]] = {}
        self.done = threading.Event()
        self._plan = plan
        self._made = {kind: made_tokens(kind) for kind in plan.kinds}
        self._publisher = self.create_publisher(ConditioningTokensMsg, "conditioning_tokens", qos.NEWEST)
        if plan.loaded:
            self.create_subscription(Image, CAMERA, self._on_image, qos.SENSOR)

    @property
    def is_heard(self) -> bool:
        return self._publisher.get_subscription_count() > 0

    def tick(self, now_ns: int) -> None:
        sequence = len(self.steps) + 1
        if sequence > self._plan.total:
            self.done.set()
            return
        kind = self._plan.kind(sequence)
        tokens = replace(self._made[kind], sequence=sequence, stamp_ns=time.time_ns())
        began_ns = time.monotonic_ns()
        message = tokens_to_message(tokens, kind.wire_type, "camera")
        made_ns = time.monotonic_ns()
        self._publisher.publish(message)
        self.steps[sequence] = (began_ns, made_ns, time.monotonic_ns())

    def _on_image(self, message: Image) -> None:
        image_to_rgb(message)


def made_tokens(kind: MessageKind) -> ConditioningTokens:
    """Of this kind, with numbers as a network's."""
    features = np.random.default_rng(kind.rows).normal(size=(kind.rows, WIDTH)).astype(np.float32)
    mask = np.ones(kind.rows, np.bool_)
    return ConditioningTokens(features, mask, 0, instruction="measure", checkpoint_hash="0" * 64, embodiment="gr1")


def main() -> int:
    plan, times = TokenPlan.read(Path(sys.argv[1])), Path(sys.argv[2])
    init_ros(args=sys.argv)
    sender, executor, process = TokenSender(plan), make_executor(), QuietProcess()
    executor.add_node(sender)
    deadline_s = time.monotonic() + _FIND_S
    while not sender.is_heard:
        spin_for(executor, _SPIN_S)
        if time.monotonic() > deadline_s:
            raise Gr00tError(f"nobody listened to the tokens within {_FIND_S:g} s")
    spin_for(executor, _SETTLE_S)
    priority = PlannerConfig().thread_priority if plan.realtime else 0
    loop = PacedLoop("planner", plan.rate_hz, sender.tick, priority, spare=process.spare)
    process.begin()
    loop.start()
    while not sender.done.is_set() and loop.failure is None:
        spin_for(executor, _SPIN_S)
    loop.stop()
    process.end()
    spin_for(executor, _LINGER_S)  # until what is reliable has arrived
    if loop.failure is not None:
        raise loop.failure
    Times(sender.steps, loop.realtime).write(times)
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
