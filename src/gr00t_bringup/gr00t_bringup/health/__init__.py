# SPDX-License-Identifier: Apache-2.0
"""What ``gr00t doctor`` looks at: the computer, the software on it, the checkpoint, the streams. Plain findings, no ROS here."""
