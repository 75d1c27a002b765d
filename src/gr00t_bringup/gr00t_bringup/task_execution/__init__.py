# SPDX-License-Identifier: Apache-2.0
"""One sentence as one task with an end: what the action ``execute_task`` does, without ROS."""
