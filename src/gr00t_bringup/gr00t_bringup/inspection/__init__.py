# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint, a dataset or a bag holds, whether it is whole, and whether it fits a robot. Needs no ROS and no torch."""
