# SPDX-License-Identifier: Apache-2.0
"""How the suite is started: launch files, parameter files, the gr00t command line. Importing it imports nothing heavy."""
