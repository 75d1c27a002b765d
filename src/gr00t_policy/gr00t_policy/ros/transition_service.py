# SPDX-License-Identifier: Apache-2.0
"""The service ``change_state``: a transition that is not possible now is refused, and the node goes on."""

from typing import Any

from rclpy.lifecycle import LifecycleNode


def refuse_impossible_transitions(node: LifecycleNode) -> None:
    """Answer ``success: false`` to them, as nodes in C++ do; rclpy's raises, which ends the node (ros2/rclpy issue 1209).

    A label that is not possible is refused by rclpy itself.
    """
    service, machine = node._service_change_state, node._state_machine
    change_state = service.callback

    def answer(request: Any, response: Any) -> Any:
        wanted = request.transition
        possible = {number: label for number, label, *_ in machine.available_transitions}
        if wanted.label or wanted.id in possible:
            return change_state(request, response)
        names = ", ".join(f"{label} ({number})" for number, label in possible.items()) or "none"
        node.get_logger().error(
            f"transition {wanted.id} is not possible from '{machine.current_state[1]}'; possible: {names}"
        )
        response.success = False
        return response

    service.callback = answer
