# SPDX-License-Identifier: Apache-2.0
"""Playing a bag: what is played under which names, when each message is due, what a person presses meanwhile."""
