# SPDX-License-Identifier: Apache-2.0
"""The gate between every command source and the robot. No torch. Importing this package imports nothing heavy."""
