# SPDX-License-Identifier: Apache-2.0
"""The class of a ROS message by the name of its type."""

from importlib import import_module
from typing import Any

from gr00t_policy.core.errors import MessageError


def message_type(type_name: str) -> Any:
    """The class of e.g. 'sensor_msgs/msg/JointState'. Raises MessageError where it is not installed, or no message."""
    package, _, rest = type_name.partition("/")
    kind, _, name = rest.partition("/")
    if kind != "msg" or not name:
        raise MessageError(f"'{type_name}' is not the type of a plain message (package/msg/Name)")
    try:
        found = getattr(import_module(f"{package}.msg"), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise MessageError(
            f"message type {type_name} is not installed: build or install the package '{package}' and source its workspace "
            f"(with ROS from Debian packages: apt install ros-jazzy-{package.replace('_', '-')})"
        ) from error
    return found
