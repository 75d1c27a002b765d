# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201
"""Which numbers of the network are which joints of a robot: the first thing to look at when adding one.

python examples/show_robot.py [EMBODIMENT]    a shipped name (gr1, gr1_arms_only, ...) or a YAML file
"""

import sys

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.slots import joint_slots


def main(name: str = "gr1") -> bool:
    """Print the table."""
    robot = load_embodiment(name)
    cameras = ", ".join(f"{camera.name} {camera.width}x{camera.height}" for camera in robot.cameras)
    print(f"{robot.name}: statistics under '{robot.tag}', projector {robot.projector_index}, {robot.rate_hz:g} Hz")
    print(f"cameras: {cameras}; language: {robot.language_key}")
    print(f"{'joint':<32} {'group':<11} {'state':<9} {'action':<9} sign  limits [rad]")
    for slots in joint_slots(robot):
        joint = slots.joint
        places = [",".join(map(str, places)) for places in (slots.state, slots.action)]
        print(
            f"{joint.name:<32} {joint.group:<11} {places[0]:<9} {places[1]:<9} {joint.sign:+d}    "
            f"{joint.lower_rad:g} to {joint.upper_rad:g}"
        )
    print(f"{robot.encoded_width('state')} state numbers, {robot.encoded_width('action')} action numbers")
    return True


if __name__ == "__main__":
    sys.exit(0 if main(*sys.argv[1:2]) else 1)
