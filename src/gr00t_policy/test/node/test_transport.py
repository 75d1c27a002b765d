# SPDX-License-Identifier: Apache-2.0
"""Messages travel by sockets: no shared memory is held, and a participant of a plain ROS shell hears us all the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gr00t_policy.ros.transport import sockets_only

_DOMAIN = "166"
_SAID = "through sockets"
_TALKER = f"""
import time
from rclpy.node import Node
from std_msgs.msg import String
from gr00t_policy.ros.transport import init_ros
init_ros()
node = Node("talker")
publisher = node.create_publisher(String, "said", 1)
print([line for line in open("/proc/self/maps") if "/dev/shm/fastrtps_" in line], flush=True)
while True:
    publisher.publish(String(data="{_SAID}"))
    time.sleep(0.05)
"""
_LISTENER = """
import rclpy, time
from std_msgs.msg import String
rclpy.init()
node = rclpy.create_node("listener")
heard = []
node.create_subscription(String, "said", lambda message: heard.append(message.data), 1)
end = time.monotonic() + 60
while not heard and time.monotonic() < end:
    rclpy.spin_once(node, timeout_sec=0.2)
print(heard[0] if heard else "nothing")
"""


def _environment(**said: str) -> dict[str, str]:
    named = ("DISCOVERY", "FASTDDS", "FASTRTPS", "LOCALHOST", "STATIC_PEERS")
    bare = {name: value for name, value in os.environ.items() if not any(part in name for part in named)}
    return {**bare, "ROS_DOMAIN_ID": _DOMAIN, **said}


@pytest.mark.parametrize("reach", ["LOCALHOST", "SUBNET"])
def test_a_plain_participant_hears_a_node_that_holds_no_shared_memory(reach: str) -> None:
    environment = _environment(ROS_AUTOMATIC_DISCOVERY_RANGE=reach)
    talker = subprocess.Popen([sys.executable, "-c", _TALKER], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert talker.stdout is not None
        assert talker.stdout.readline().strip() == "[]"
        heard = subprocess.run(
            [sys.executable, "-c", _LISTENER], env=environment, capture_output=True, text=True, timeout=90, check=True
        )
    finally:
        talker.kill()
        talker.wait()
    assert heard.stdout.strip() == _SAID


def test_the_reach_of_discovery_is_kept() -> None:
    assert sockets_only({}) == {"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}
    assert sockets_only({"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}) == {"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}
    for local in ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}, {"ROS_LOCALHOST_ONLY": "1"}):
        changed = sockets_only(local)
        profile = Path(changed["FASTRTPS_DEFAULT_PROFILES_FILE"]).read_text()
        assert "127.0.0.1" in profile
        assert "SHM" not in profile
        assert sockets_only({**local, **changed}) == {}


@pytest.mark.parametrize(
    "decided",
    [
        {"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"},
        {"FASTRTPS_DEFAULT_PROFILES_FILE": "mine.xml"},
        {"FASTDDS_BUILTIN_TRANSPORTS": "SHM"},
        {"ROS_STATIC_PEERS": "192.0.2.7", "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"},
    ],
)
def test_what_the_user_decided_stays(decided: dict[str, str]) -> None:
    assert sockets_only(decided) == {}
