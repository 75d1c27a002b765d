# SPDX-License-Identifier: Apache-2.0
"""A person made of numbers who wears a headset: stands in for a human where nobody does. No ROS, no clock."""
