# SPDX-License-Identifier: Apache-2.0
"""The client over real DDS: waits for nodes, names those that are late, is heard, and asks the simulator."""

import threading
import time

import pytest
from gr00t_msgs.srv import ResetSimulation
from rclpy.node import Node
from std_msgs.msg import String

from gr00t_bringup.ros.stack_client import NotReadyError, StackClient
from gr00t_policy.core.errors import Gr00tError
from gr00t_policy.ros import qos


@pytest.fixture
def client(context):
    client = StackClient(context, check=lambda: None)
    yield client
    client.close()


def test_waiting_ends_when_the_node_becomes_active(client, peer):
    def bring_up() -> None:
        time.sleep(0.5)
        peer.trigger_configure()
        peer.trigger_activate()

    thread = threading.Thread(target=bring_up)
    thread.start()
    client.wait_active(["planner"], timeout_s=20.0)
    thread.join()


def test_the_late_nodes_are_named_with_their_state(client, peer):
    peer.trigger_configure()
    with pytest.raises(NotReadyError, match=r"planner \(inactive\), sim \(not there yet\)"):
        client.wait_active(["planner", "sim"], timeout_s=3.0)


def test_a_node_that_died_ends_the_waiting_at_once(context):
    def check() -> None:
        raise Gr00tError("node 'sim' ended")

    client = StackClient(context, check)
    with pytest.raises(Gr00tError, match="'sim' ended"):
        client.wait_active(["sim"], timeout_s=60.0)
    client.close()


def test_a_sentence_said_once_is_heard(client, peer):
    heard: list[str] = []
    peer.create_subscription(String, "language_command", lambda message: heard.append(message.data), qos.LANGUAGE)
    client.wait_listeners(["planner"], timeout_s=10.0)
    client.say("pick up the red can")
    deadline = time.monotonic() + 5
    while not heard and time.monotonic() < deadline:
        time.sleep(0.02)
    assert heard == ["pick up the red can"]


def test_nobody_listening_is_an_error_that_names_who_is_missing(client):
    with pytest.raises(NotReadyError, match="planner not listening"):
        client.wait_listeners(["planner"], timeout_s=0.5)


def test_a_reset_gives_the_sentence_in_force_and_a_refusal_its_reason(client, peer):
    def answer(request, response):
        response.success = request.task == "pick_named_object"
        response.message = "" if response.success else "unknown task; known: pick_named_object"
        response.sentence = f"{request.sentence} ({request.seed})"
        return response

    peer.create_service(ResetSimulation, "sim/reset", answer)
    assert client.reset_simulation("pick_named_object", 7, "go") == "go (7)"
    with pytest.raises(NotReadyError, match="refused the reset: unknown task; known: pick_named_object"):
        client.reset_simulation("juggle", 0, "")


def test_a_missing_simulator_is_named(client):
    with pytest.raises(NotReadyError, match="'sim/reset' is not there"):
        client.reset_simulation("", 0, "")


def test_a_stack_that_runs_already_is_named_before_a_second_one_starts_and_beside_it(context):
    first = Node("arm", context=context, namespace="left_robot")
    late = StackClient(context, check=lambda: None, namespace="left_robot")
    refusal = r"another stack runs here already: arm in namespace '/left_robot'; .* another ROS_DOMAIN_ID \(it is 181\)"
    with pytest.raises(NotReadyError, match=refusal):
        late.refuse_company(["leg", "arm"], 0, look_s=5.0)
    late.refuse_company(["leg", "arm"], 1)
    second = Node("arm", context=context, namespace="left_robot")
    with pytest.raises(NotReadyError, match=refusal):
        late.refuse_company(["leg", "arm"], 1, look_s=5.0)
    elsewhere = StackClient(context, check=lambda: None, namespace="right_robot")
    elsewhere.refuse_company(["leg", "arm"], 0, look_s=0.5)
    for each in (first, second):
        each.destroy_node()
    for each in (late, elsewhere):
        each.close()
