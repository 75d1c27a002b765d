# SPDX-License-Identifier: Apache-2.0
"""Takes tokens as the controller does, up to the thread that prepares its head, and writes down when. A program.

``python -m gr00t_bringup.ros.token_receiver PLAN TIMES CHECKPOINT``: until SIGINT or SIGTERM. Where the plan says so, the
checkpoint's head is evaluated 120 times a second beside it, as on the robot.
"""

import sys
import time
from pathlib import Path

import numpy as np
from gr00t_msgs.msg import ConditioningTokens as ConditioningTokensMsg
from rclpy.node import Node

from gr00t_bringup.bench.token_plan import Times, TokenPlan
from gr00t_bringup.ros.until_stopped import ros_until_stopped
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.ros import qos
from gr00t_policy.ros.lifecycle import make_executor, spin_for
from gr00t_policy.ros.messages import tokens_from_message
from gr00t_policy.runtime.backends import blank_tokens, default_cache, load_backend
from gr00t_policy.runtime.config import ControllerConfig
from gr00t_policy.runtime.head_worker import HeadWorker
from gr00t_policy.runtime.inputs import ControllerInputs
from gr00t_policy.runtime.pacing import PacedLoop
from gr00t_policy.runtime.policy import Gr00tPolicy
from gr00t_policy.runtime.process_priority import raise_all_threads
from gr00t_policy.runtime.quiet_process import QuietProcess

_SPIN_S = 0.2


class TokenReceiver(Node):
    """``take`` is for a HeadWorker; ``steps`` has the times of each message."""

    def __init__(self) -> None:
        super().__init__("token_receiver", start_parameter_services=False)
        self.steps: dict[int, tuple[int, ...]] = {}
        self.inputs = ControllerInputs(ControllerConfig(), joints=1)
        self._called_ns: dict[int, int] = {}
        self.create_subscription(ConditioningTokensMsg, "conditioning_tokens", self._on_tokens, qos.NEWEST)

    def take(self) -> bool:
        """What ``Controller.prepare_news`` does before it asks the network."""
        taken = self.inputs.take_tokens()
        if taken is None:
            return False
        had_ns, sequence = time.monotonic_ns(), taken.tokens.sequence
        self.steps[sequence] = (self._called_ns.pop(sequence), taken.received_ns, had_ns)
        return True

    def _on_tokens(self, message: ConditioningTokensMsg) -> None:
        self._called_ns[message.sequence] = time.monotonic_ns()
        self.inputs.offer_tokens(tokens_from_message(message), time.monotonic_ns())


class Head:
    """The head of a checkpoint with nothing to see; ``tick`` is for a paced loop."""

    def __init__(self, folder: Path) -> None:
        checkpoint = load_checkpoint(folder)
        backend = load_backend(checkpoint, cache=default_cache(Path.home()), part="head", threads=1)
        self._policy = Gr00tPolicy(checkpoint, backend, noise_scale=0.0)
        self._state = np.zeros(len(self._policy.embodiment.policy_joint_names))
        self._policy.accept(blank_tokens(checkpoint))

    def tick(self, now_ns: int) -> None:
        self._policy.act(self._state, 0)


def main() -> int:
    """Listen until told to stop; write the times to the file named on the command line."""
    plan, times, checkpoint = TokenPlan.read(Path(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3])
    settings, process = ControllerConfig(), QuietProcess()
    priority = settings.thread_priority if plan.realtime else 0
    loop = None
    if plan.loaded:
        head = Head(checkpoint)
        loop = PacedLoop("controller", settings.rate_hz, head.tick, priority, spare=process.spare)
    with ros_until_stopped() as is_stopped:
        receiver, executor = TokenReceiver(), make_executor()
        executor.add_node(receiver)
        worker = HeadWorker(receiver.take, "tokens", receiver.inputs.tokens_came)
        worker.start()
        realtime = plan.realtime and raise_all_threads(settings.process_priority)
        process.begin()
        if loop is not None:
            loop.start()
        while not is_stopped():
            spin_for(executor, _SPIN_S)
        for thread in (loop, worker):
            if thread is not None:
                thread.stop()
                if thread.failure is not None:
                    raise thread.failure
        Times(receiver.steps, realtime).write(times)
    return 0


if __name__ == "__main__":
    sys.exit(main())
