# SPDX-License-Identifier: Apache-2.0
"""The suite's topics as data: names and types as on the page of interfaces, and what each is good for in a recording."""

from dataclasses import dataclass
from typing import Literal

from gr00t_policy.core.embodiment import Embodiment

# learning: a dataset cannot be made without it. measuring: figures need it. other: good to have.
Use = Literal["learning", "measuring", "other"]
IMAGE, JOINT_STATE, STRING = "sensor_msgs/msg/Image", "sensor_msgs/msg/JointState", "std_msgs/msg/String"
TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"


@dataclass(frozen=True)
class Topic:
    """name: relative, except those that are the same in every namespace. commands: moves the robot, or may."""

    name: str
    type_name: str
    use: Use = "other"
    commands: bool = False


_TOPICS = (
    Topic("joint_states", JOINT_STATE, "learning"),
    Topic("language_command", STRING, "learning"),
    Topic("joint_trajectory", TRAJECTORY, "learning", commands=True),
    Topic("policy/joint_trajectory", TRAJECTORY, "measuring", commands=True),
    Topic("operator_state", "gr00t_msgs/msg/OperatorState"),
    Topic("teleop/joint_trajectory", TRAJECTORY, commands=True),
    Topic("conditioning_tokens", "gr00t_msgs/msg/ConditioningTokens", "measuring"),
    Topic("action_chunk", "gr00t_msgs/msg/ActionChunk", "measuring"),
    Topic("planner/state", "gr00t_msgs/msg/PlannerState", "measuring"),
    Topic("controller/state", "gr00t_msgs/msg/ControllerState", "measuring"),
    Topic("command_gate/state", "gr00t_msgs/msg/GateState", "measuring"),
    Topic("recorder/state", "gr00t_msgs/msg/RecorderState"),
    Topic("teleop/state", "gr00t_msgs/msg/TeleopState"),
    Topic("sim/task_state", "gr00t_msgs/msg/TaskState"),
    Topic("sim/qpos", "std_msgs/msg/Float64MultiArray"),
    Topic("/clock", "rosgraph_msgs/msg/Clock"),
    Topic("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray"),
)


def topics(robot: Embodiment) -> tuple[Topic, ...]:
    """All of them, the robot's cameras first."""
    return (*(Topic(camera_topic(camera.name), IMAGE, "learning") for camera in robot.cameras), *_TOPICS)


def camera_topic(camera: str) -> str:
    """Relative name of a camera's pictures."""
    return f"camera/{camera}/image_raw"
