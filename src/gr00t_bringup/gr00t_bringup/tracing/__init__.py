# SPDX-License-Identifier: Apache-2.0
"""Where time goes between the camera and the robot, from a bag: streams, ages, hops, histograms."""
