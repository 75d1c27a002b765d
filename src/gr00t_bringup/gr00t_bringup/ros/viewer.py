# SPDX-License-Identifier: Apache-2.0
"""A window on the running simulation: follows ``sim/qpos`` with MuJoCo's passive viewer. Only looks, never touches."""

import contextlib
import sys

import mujoco
import mujoco.viewer
import numpy as np
import rclpy
from gr00t_msgs.msg import TaskState
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray

from gr00t_policy.ros import qos
from gr00t_policy.ros.transport import init_ros
from gr00t_sim.simulation import TabletopSim

_PERIOD_S = 0.02


class Viewer(Node):
    """Keeps the newest state of the simulator."""

    def __init__(self) -> None:
        super().__init__("viewer")
        self.task: TaskState | None = None
        self.qpos: np.ndarray | None = None
        self.create_subscription(TaskState, "sim/task_state", self._on_task, qos.LATCHED)
        self.create_subscription(Float64MultiArray, "sim/qpos", self._on_qpos, qos.SENSOR)

    def _on_task(self, message: TaskState) -> None:
        self.task = message

    def _on_qpos(self, message: Float64MultiArray) -> None:
        self.qpos = np.asarray(message.data)


def main() -> int:
    """Show the scene that runs until the window is closed; a change of task opens another window."""
    init_ros(args=sys.argv)
    node = Viewer()
    open_window = True
    with contextlib.suppress(KeyboardInterrupt):
        while open_window:
            rclpy.spin_once(node, timeout_sec=0.5)
            if node.task is not None:
                open_window = _show(node, node.task, TabletopSim(node.task.task))
    return 0


def _show(node: Viewer, task: TaskState, sim: TabletopSim) -> bool:
    """False when the person closed the window, True when the task changed."""
    scene = None
    with mujoco.viewer.launch_passive(sim.model, sim.data) as window:
        while window.is_running():
            rclpy.spin_once(node, timeout_sec=_PERIOD_S)
            task = node.task or task
            if task.task != sim.task.name:
                return True
            with window.lock():
                if scene != (task.seed, task.sentence):
                    sim.reset(task.seed, task.sentence or None)
                    scene = task.seed, task.sentence
                if node.qpos is not None and node.qpos.shape == sim.data.qpos.shape:
                    sim.data.qpos[:] = node.qpos
                    mujoco.mj_forward(sim.model, sim.data)
            window.sync()
    return False


if __name__ == "__main__":
    sys.exit(main())
