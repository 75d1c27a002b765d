# SPDX-License-Identifier: Apache-2.0
"""How messages travel: by sockets, never by Fast DDS's shared memory, unless the user has decided about it.

In shared memory the queues of a process that was killed stay filled, and the senders wait for it: a planner that dies
leaves every other reader of the camera without images for up to half a minute (Fast DDS 2.14, its issue 5469), and its
successor may never be found. Sockets die with their process, and take up to 0.4 ms more for a megabyte (``gr00t bench
tokens``). Others that use shared memory still talk to us: where only one side has it, Fast DDS takes sockets.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import rclpy
from rclpy.context import Context
from rclpy.signals import SignalHandlerOptions

_LOOPBACK_PROFILE = Path(__file__).with_name("loopback.xml")
_FAST_DDS = ("", "rmw_fastrtps_cpp", "rmw_fastrtps_dynamic_cpp")
_USERS_WORD = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE", "FASTDDS_BUILTIN_TRANSPORTS")


def init_ros(context: Context | None = None, args: Sequence[str] | None = None) -> None:
    """``rclpy.init`` on sockets and without signal handlers. Processes started later inherit the choice."""
    os.environ.update(sockets_only(os.environ))
    words = list(args) if args is not None else None
    rclpy.init(args=words, context=context, signal_handler_options=SignalHandlerOptions.NO)


def sockets_only(environment: Mapping[str, str]) -> dict[str, str]:
    """What to change in ``environment`` so that Fast DDS uses sockets; nothing where the user or another RMW decides.

    The reach of discovery stays as it is. For LOCALHOST rmw_fastrtps would add shared memory whatever else is set, so
    the same reach is described by a profile instead; with static peers beside it that cannot be done, and is left.
    """
    if environment.get("RMW_IMPLEMENTATION", "") not in _FAST_DDS or any(map(environment.get, _USERS_WORD)):
        return {}
    reach = environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "")
    if reach != "LOCALHOST" and environment.get("ROS_LOCALHOST_ONLY") != "1":
        return {"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}
    if environment.get("ROS_STATIC_PEERS"):
        return {}
    changes = {
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(_LOOPBACK_PROFILE),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT",
    }
    return changes | ({"ROS_LOCALHOST_ONLY": "0"} if "ROS_LOCALHOST_ONLY" in environment else {})
