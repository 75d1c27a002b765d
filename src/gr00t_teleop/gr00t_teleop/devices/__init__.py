# SPDX-License-Identifier: Apache-2.0
"""What a person holds or wears, one file per device. No ROS here. Importing this package imports nothing heavy."""
