# SPDX-License-Identifier: Apache-2.0
"""Two machines on one cable, made of two network namespaces: what ``SUBNET`` is heard of across it, ``LOCALHOST`` never is."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

_HERE, _THERE = "192.0.2.1", "192.0.2.2"
_TALKER = """
import sys, time
from rclpy.node import Node
from std_msgs.msg import String
from gr00t_policy.ros.transport import init_ros
init_ros()
publisher = Node("talker").create_publisher(String, "said", 1)
while True:
    publisher.publish(String(data=sys.argv[1]))
    time.sleep(0.05)
"""
_LISTENER = """
import json, sys, time
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import String
heard, executors = {}, []
for domain in sys.argv[1:]:
    context = Context()
    rclpy.init(context=context, domain_id=int(domain))
    node = rclpy.create_node("listener", context=context)
    heard[domain] = set()
    node.create_subscription(String, "said", lambda message, into=heard[domain]: into.add(message.data), 1)
    executors.append(SingleThreadedExecutor(context=context))
    executors[-1].add_node(node)
end = time.monotonic() + 30
while time.monotonic() < end:
    for executor in executors:
        executor.spin_once(timeout_sec=0.02)
    if any(heard.values()):
        end = min(end, time.monotonic() + 2.0)  # and the others had as long to be heard
print(json.dumps({domain: sorted(said) for domain, said in heard.items()}))
"""


@dataclass(frozen=True)
class Machine:
    """A network namespace, kept by a sleeping process."""

    keeper: subprocess.Popen

    def command(self, *words: str) -> list[str]:
        return ["nsenter", "--target", str(self.keeper.pid), "--net", *words]

    def do(self, line: str) -> None:
        subprocess.run(self.command(*line.split()), check=True, capture_output=True, timeout=30)


@pytest.fixture
def machines() -> Iterator[tuple[Machine, Machine]]:
    """Skips where the kernel does not let us make them."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        pytest.skip("network namespaces need root, unshare, nsenter and ip")
    pair = tuple(Machine(subprocess.Popen(["unshare", "--net", "sleep", "120"])) for _ in range(2))
    try:
        time.sleep(0.3)  # until they have left our namespace
        try:
            pair[0].do(f"ip link add cable0 type veth peer name cable1 netns {pair[1].keeper.pid}")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no virtual cables here: {error.stderr.decode().strip()}")
        for machine, end, address in ((pair[0], "cable0", _HERE), (pair[1], "cable1", _THERE)):
            for line in (
                "ip link set lo up",
                f"ip address add {address}/24 dev {end}",
                f"ip link set {end} up multicast on",
                f"ip route add 224.0.0.0/4 dev {end}",
            ):
                machine.do(line)
        yield pair  # type: ignore[misc]
    finally:
        for machine in pair:
            machine.keeper.kill()
            machine.keeper.wait()


def test_another_machine_hears_what_is_open_to_the_subnet_and_nothing_of_what_is_kept_local(machines):
    here, there = machines
    named = ("DISCOVERY", "FASTDDS", "FASTRTPS", "LOCALHOST", "STATIC_PEERS", "ROS_DOMAIN_ID")
    bare = {name: value for name, value in os.environ.items() if not any(part in name for part in named)}
    talkers = [
        subprocess.Popen(
            here.command(sys.executable, "-c", _TALKER, reach),
            env={**bare, "ROS_DOMAIN_ID": domain, "ROS_AUTOMATIC_DISCOVERY_RANGE": reach},
        )
        for domain, reach in (("10", "LOCALHOST"), ("11", "SUBNET"))
    ]
    try:
        done = subprocess.run(
            there.command(sys.executable, "-c", _LISTENER, "10", "11"),
            env={**bare, "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"},
            capture_output=True, text=True, timeout=90, check=True,
        )  # fmt: skip
        assert all(talker.poll() is None for talker in talkers)
    finally:
        for talker in talkers:
            talker.kill()
            talker.wait()
    assert json.loads(done.stdout) == {"10": [], "11": ["SUBNET"]}
