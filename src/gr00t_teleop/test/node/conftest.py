# SPDX-License-Identifier: Apache-2.0
"""Nodes of the package in this process, on a domain of their own."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ["ROS_DOMAIN_ID"] = "183"
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
sys.path.insert(0, str(Path(__file__).parent))

import pytest
import rclpy
from operator_scene import Scene
from rclpy.context import Context
from rclpy.signals import SignalHandlerOptions


@pytest.fixture
def scene() -> Iterator[Scene]:
    context = Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    scene = Scene(context)
    yield scene
    scene.close()
    rclpy.try_shutdown(context=context)
