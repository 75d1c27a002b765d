# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the content of a dataset, episode by episode and column by column. Needs no ROS and no torch."""
