# SPDX-License-Identifier: Apache-2.0
"""A person drives the robot, and episodes are kept. Importing this package imports nothing heavy."""
