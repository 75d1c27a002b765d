# SPDX-License-Identifier: Apache-2.0
"""The GR-1 at a table in MuJoCo: robot, tasks, experts, a Gymnasium environment and the ROS node ``sim``."""

import os

os.environ.setdefault("MUJOCO_GL", "egl")  # read by mujoco when it is first imported; egl renders without a display
