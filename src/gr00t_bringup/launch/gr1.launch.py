# SPDX-License-Identifier: Apache-2.0
"""Brings up planner, controller and command gate for a robot, the simulator where that is the robot, on request a person.

ros2 launch gr00t_bringup gr1.launch.py backend:=mujoco checkpoint:=/path/to/checkpoint teleop:=webxr record:=true
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PythonExpression
from launch_ros.actions import LifecycleNode

from gr00t_bringup.launched_nodes import launched_nodes
from gr00t_bringup.nodes import BACKENDS, PERSONS_DEVICES
from launch import LaunchContext, LaunchDescription

_ARGUMENTS = (
    "robot", "backend", "checkpoint", "tokenizer", "dry_run", "namespace", "use_sim_time", "teleop", "record", "tasks",
    "params_file", "autostart", "log_level",
)  # fmt: skip
_BOOLEAN = ["true", "false", "True", "False"]
_LEVELS = ["debug", "info", "warn", "error", "fatal"]


def generate_launch_description() -> LaunchDescription:
    on_real = PythonExpression(["'", LaunchConfiguration("backend"), "' == 'real'"])
    return LaunchDescription(
        [
            DeclareLaunchArgument("robot", default_value="gr1", description="folder of parameter files under config/"),
            DeclareLaunchArgument("backend", default_value="mujoco", choices=BACKENDS, description="what the robot is"),
            DeclareLaunchArgument(
                "checkpoint", default_value="", description="folder; empty: that of params_file, else the shipped one"
            ),
            DeclareLaunchArgument(
                "tokenizer",
                default_value="",
                description="folder of the tokenizer, for a released checkpoint without one",
            ),
            DeclareLaunchArgument(
                "dry_run", default_value=on_real, choices=_BOOLEAN, description="send the gate's commands nowhere"
            ),
            DeclareLaunchArgument("namespace", default_value="", description="namespace of all nodes"),
            DeclareLaunchArgument(
                "use_sim_time",
                default_value="",
                choices=["", *_BOOLEAN],
                description="time from /clock; empty: for a simulator that has a time of its own, gazebo and isaac",
            ),
            DeclareLaunchArgument(
                "teleop",
                default_value="",
                choices=["", *PERSONS_DEVICES],
                description="device of a person who drives; empty: nobody",
            ),
            DeclareLaunchArgument(
                "record", default_value="false", choices=_BOOLEAN, description="start the recorder of episodes"
            ),
            DeclareLaunchArgument(
                "tasks",
                default_value="false",
                choices=_BOOLEAN,
                description="start the server of the action execute_task",
            ),
            DeclareLaunchArgument("params_file", default_value="", description="parameters that win over config/"),
            DeclareLaunchArgument(
                "autostart", default_value="true", choices=_BOOLEAN, description="activate the nodes"
            ),
            DeclareLaunchArgument("log_level", default_value="info", choices=_LEVELS, description="of all nodes"),
            OpaqueFunction(function=_start_nodes),
        ]
    )


def _start_nodes(context: LaunchContext) -> list[LifecycleNode]:
    arguments = {name: LaunchConfiguration(name).perform(context) for name in _ARGUMENTS}
    return [LifecycleNode(**node) for node in launched_nodes(arguments)]
