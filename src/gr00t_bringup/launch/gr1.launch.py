# SPDX-License-Identifier: Apache-2.0
"""Brings up planner, controller and command gate for a robot, the simulator where that is the robot, on request a person.

ros2 launch gr00t_bringup gr1.launch.py backend:=mujoco checkpoint:=/path/to/checkpoint teleop:=webxr record:=true
"""

from pathlib import Path

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PythonExpression
from launch_ros.actions import LifecycleNode

from gr00t_bringup.nodes import (
    BACKENDS,
    PERSONS_DEVICES,
    RECORD,
    TASKS,
    TELEOP,
    nodes_for,
    overrides,
    parameter_files,
    remappings,
    shipped_checkpoint,
)
from launch import LaunchContext, LaunchDescription

_BOOLEAN = ["true", "false", "True", "False"]
_LEVELS = ["debug", "info", "warn", "error", "fatal"]


def generate_launch_description() -> LaunchDescription:
    on_real = PythonExpression(["'", LaunchConfiguration("backend"), "' == 'real'"])
    return LaunchDescription(
        [
            DeclareLaunchArgument("robot", default_value="gr1", description="folder of parameter files under config/"),
            DeclareLaunchArgument("backend", default_value="mujoco", choices=BACKENDS, description="what the robot is"),
            DeclareLaunchArgument("checkpoint", default_value="", description="folder; empty: the shipped one"),
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
                "use_sim_time", default_value="false", choices=_BOOLEAN, description="time from /clock"
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
    def text(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    def truth(name: str) -> bool:
        return text(name).lower() == "true"

    checkpoint = Path(text("checkpoint")).absolute() if text("checkpoint") else shipped_checkpoint()
    asked = ((TELEOP, bool(text("teleop"))), (RECORD, truth("record")), (TASKS, truth("tasks")))
    additions = [name for name, wanted in asked if wanted]
    more_files = [text("params_file")] if text("params_file") else []
    return [
        LifecycleNode(
            package=node.package,
            executable=node.name,
            name=node.name,
            namespace=text("namespace"),
            parameters=[
                *map(str, parameter_files(text("robot"), text("backend"), node.name)),
                *more_files,
                overrides(
                    node,
                    autostart=truth("autostart"),
                    use_sim_time=truth("use_sim_time"),
                    checkpoint=checkpoint,
                    tokenizer=str(Path(text("tokenizer")).absolute()) if text("tokenizer") else "",
                    device=text("teleop"),
                ),
            ],
            remappings=list(remappings(node, dry_run=truth("dry_run")).items()),
            arguments=["--ros-args", "--log-level", text("log_level")],
            output="screen",
        )
        for node in nodes_for(text("backend"), additions)
    ]
