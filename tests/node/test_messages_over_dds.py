# SPDX-License-Identifier: Apache-2.0
"""Every message, service and action of gr00t_msgs survives the way over real DDS, with a value in every field."""

import array
import importlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

os.environ["ROS_DOMAIN_ID"] = "100"
os.environ["ROS_LOCALHOST_ONLY"] = "1"

import gr00t_msgs.action
import gr00t_msgs.msg
import gr00t_msgs.srv
from rclpy.action import ActionClient, ActionServer
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

TIMEOUT_S = 30.0
QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def public_types(module: Any) -> list[type]:
    return [value for name, value in sorted(vars(module).items()) if name[0].isupper() and "_" not in name]


def filled(kind: type, rng: np.random.Generator) -> Any:
    """A message with a value other than the default in every field."""
    message = kind()
    for name, type_name in kind.get_fields_and_field_types().items():
        setattr(message, name, value_of(type_name, rng))
    return message


def value_of(type_name: str, rng: np.random.Generator) -> Any:
    if type_name.startswith("sequence<"):
        inner = type_name.removeprefix("sequence<").removesuffix(">")
        return [value_of(inner, rng) for _ in range(3)]
    if "/" in type_name:
        package, name = type_name.split("/")
        return filled(getattr(importlib.import_module(f"{package}.msg"), name), rng)
    if type_name == "string":
        return f"größe {rng.integers(1, 1000)}"
    if type_name == "boolean":
        return True
    if type_name in ("float", "double"):
        return float(np.float32(rng.normal()))  # every float32 is a float64
    bits = int(type_name.lstrip("uint"))
    return int(rng.integers(1, 2 ** min(bits - 1, 62)))


class TwoPeers:
    """Two participants, each with its own context, as two programs have."""

    def __init__(self) -> None:
        self.contexts = [Context(), Context()]
        self.executors: list[SingleThreadedExecutor] = []
        self.nodes: list[Node] = []
        for number, context in enumerate(self.contexts):
            context.init()
            self.nodes.append(Node(f"peer_{number}", context=context))
            self.executors.append(SingleThreadedExecutor(context=context))
            self.executors[-1].add_node(self.nodes[-1])

    def spin_until(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + TIMEOUT_S
        while not done():
            assert time.monotonic() < end, "nothing arrived"
            for executor in self.executors:
                executor.spin_once(timeout_sec=0.01)

    def close(self) -> None:
        for executor, node, context in zip(self.executors, self.nodes, self.contexts, strict=True):
            executor.shutdown()
            node.destroy_node()
            context.try_shutdown()


@pytest.fixture(scope="module")
def peers() -> Iterator[TwoPeers]:
    two = TwoPeers()
    yield two
    two.close()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def send(peers: TwoPeers, message: Any) -> Any:
    """Publish on one peer and return what the other got."""
    sender, receiver = peers.nodes
    received: list[Any] = []
    topic = f"round_trip/{type(message).__name__}"
    subscription = receiver.create_subscription(type(message), topic, received.append, QOS)
    publisher = sender.create_publisher(type(message), topic, QOS)
    publisher.publish(message)
    peers.spin_until(lambda: bool(received))
    sender.destroy_publisher(publisher)
    receiver.destroy_subscription(subscription)
    return received[0]


@pytest.mark.parametrize("kind", public_types(gr00t_msgs.msg), ids=lambda kind: kind.__name__)
def test_a_message_arrives_as_it_was_sent(peers: TwoPeers, rng: np.random.Generator, kind: type) -> None:
    message = filled(kind, rng)
    assert message != kind()
    assert send(peers, message) == message


@pytest.mark.parametrize("kind", public_types(gr00t_msgs.srv), ids=lambda kind: kind.__name__)
def test_a_service_gets_the_request_and_the_caller_the_answer(
    peers: TwoPeers, rng: np.random.Generator, kind: Any
) -> None:
    request, answer, seen = filled(kind.Request, rng), filled(kind.Response, rng), []

    def serve(incoming: Any, _: Any) -> Any:
        seen.append(incoming)
        return answer

    server = peers.nodes[0].create_service(kind, f"serve/{kind.__name__}", serve)
    client = peers.nodes[1].create_client(kind, server.srv_name)
    peers.spin_until(client.service_is_ready)
    future = client.call_async(request)
    peers.spin_until(future.done)
    assert seen == [request]
    assert future.result() == answer


@pytest.mark.parametrize("kind", public_types(gr00t_msgs.action), ids=lambda kind: kind.__name__)
def test_an_action_carries_goal_feedback_and_result(peers: TwoPeers, rng: np.random.Generator, kind: Any) -> None:
    goal, feedback, result = filled(kind.Goal, rng), filled(kind.Feedback, rng), filled(kind.Result, rng)
    seen_goals, seen_feedback = [], []

    def execute(handle: Any) -> Any:
        seen_goals.append(handle.request)
        handle.publish_feedback(feedback)
        handle.succeed()
        return result

    server = ActionServer(peers.nodes[0], kind, f"act/{kind.__name__}", execute)
    client = ActionClient(peers.nodes[1], kind, f"act/{kind.__name__}")
    peers.spin_until(client.server_is_ready)
    accepted = client.send_goal_async(goal, feedback_callback=lambda message: seen_feedback.append(message.feedback))
    peers.spin_until(accepted.done)
    finished = accepted.result().get_result_async()
    peers.spin_until(lambda: finished.done() and bool(seen_feedback))
    client.destroy()
    server.destroy()
    assert seen_goals == [goal]
    assert seen_feedback == [feedback]
    assert finished.result().result == result


def test_tokens_of_a_big_model_arrive_bit_for_bit_as_one_buffer(peers: TwoPeers, rng: np.random.Generator) -> None:
    """150 tokens of width 2048 in float32: 1.2 MB, more than one UDP datagram and than one shared-memory fragment."""
    tokens = rng.normal(size=(150, 2048)).astype("<f4")
    message = gr00t_msgs.msg.ConditioningTokens(shape=list(tokens.shape), dtype=1)
    message.data = array.array("B", tokens.tobytes())
    got = send(peers, message)
    assert isinstance(got.data, array.array)
    np.testing.assert_array_equal(np.frombuffer(got.data, "<f4").reshape(got.shape), tokens)
