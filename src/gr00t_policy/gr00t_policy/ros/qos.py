# SPDX-License-Identifier: Apache-2.0
"""Quality of service by name: the only place where a depth or a reliability is written down."""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def _keep_last(depth: int, reliability: ReliabilityPolicy, durability: DurabilityPolicy) -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability)


# Cameras, joint states, operator: only the newest sample matters, a lost one is not sent again.
SENSOR = _keep_last(1, ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE)
# What a person's devices send: any publisher matches, and a burst is not thinned out before it is dated.
DEVICE = _keep_last(10, ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE)
# Tokens and chunks: only the newest matters, and it must arrive.
NEWEST = _keep_last(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)
# Joint commands.
COMMAND = NEWEST
# States for people and tools: who joins late gets the last one at once.
LATCHED = _keep_last(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)
# Sentences: volatile, so that any publisher matches; a few are kept so that none is lost.
LANGUAGE = _keep_last(10, ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)
# `/diagnostics`, as every publisher of it does.
DIAGNOSTICS = _keep_last(10, ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)
