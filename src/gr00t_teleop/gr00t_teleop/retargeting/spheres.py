# SPDX-License-Identifier: Apache-2.0
"""The GR-1's upper body as chains of spheres, for self-collision.

Spheres and not capsules: the nearest points of two capsules jump along parallel axes, so that rows made from them let
parallel hands pass through each other; spheres have smooth gradients. Sizes: the boxes around the manufacturer's meshes
(forearm radius 35 mm, palm 78 x 48 mm, torso 288 x 283 mm); a sphere every 40 to 50 mm covers them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sphere:
    """A sphere fixed to a link: centre in the link's frame [m], radius [m]."""

    link: str
    centre: tuple[float, float, float]
    radius_m: float


def arm_spheres(side: str) -> tuple[Sphere, ...]:
    """Elbow, forearm, hand and thumb. y of the hand's frame leaves the back of the left hand, the palm of the right."""
    out_of_palm = -1.0 if side == "left" else 1.0
    forearm = tuple(Sphere(f"{side}_hand_yaw_link", (0.0, 0.0, z), 0.045) for z in (0.0, -0.05, -0.10, -0.15))
    hand = tuple(Sphere(f"{side}_hand_pitch_link", (0.0, 0.0, z), 0.045) for z in (-0.02, -0.06, -0.10, -0.14, -0.175))
    bent_fingers = Sphere(f"{side}_hand_pitch_link", (0.0, 0.045 * out_of_palm, -0.15), 0.035)
    thumb_open = Sphere(f"{side}_hand_pitch_link", (0.065, 0.02 * out_of_palm, -0.05), 0.035)
    thumb_opposed = Sphere(f"{side}_hand_pitch_link", (0.02, 0.07 * out_of_palm, -0.06), 0.035)
    elbow = Sphere(f"{side}_lower_arm_pitch_link", (0.0, 0.0, 0.0), 0.045)
    return (elbow, *forearm, *hand, bent_fingers, thumb_open, thumb_opposed)


def thumb_spheres(side: str) -> tuple[Sphere, ...]:
    """All that a thumb can reach by its own joints, as two spheres found by least radius: for what must not be scratched.

    Not for the other hand: two hands that hold one thing have their thumbs nearer to each other than this.
    """
    out_of_palm = -1.0 if side == "left" else 1.0
    centres = ((0.081, 0.037 * out_of_palm, -0.086), (0.040, 0.077 * out_of_palm, -0.072))
    return tuple(Sphere(f"{side}_hand_pitch_link", centre, 0.072) for centre in centres)


def upper_arm_spheres(side: str) -> tuple[Sphere, ...]:
    """Between shoulder and elbow: in the way of the other arm only; beside the torso they are always near."""
    return tuple(Sphere(f"{side}_upper_arm_yaw_link", (0.0, 0.0, z), 0.045) for z in (0.0, -0.05, -0.10))


def head_spheres() -> tuple[Sphere, ...]:
    """The head's 119 mm upright, as at home (0.3 rad down) and looking at the table (0.7 rad), fixed to the torso."""
    return tuple(Sphere("torso_link", (x, 0.0, z), 0.125) for x, z in ((0.015, 0.29), (0.062, 0.278), (0.107, 0.242)))


def body_spheres() -> tuple[Sphere, ...]:
    """Torso, pelvis and the thighs of a robot that stands: meshes and, where they are larger, the URDF's collision shapes.

    Those are a disc of 157 mm around the chest, a roll of 122 mm through the hips and one of 82 mm around each thigh.
    """
    torso = tuple(Sphere("torso_link", (-0.01, y, z), 0.11) for z in (-0.12, 0.06) for y in (-0.05, 0.05))
    chest = Sphere("torso_link", (-0.016, 0.005, -0.013), 0.16)
    hips = tuple(Sphere("base_link", (-0.043, y, 0.009), 0.125) for y in (-0.05, 0.0, 0.05))
    groin = tuple(Sphere("base_link", (0.0, y, -0.15), 0.07) for y in (-0.10, 0.10))
    thighs = tuple(Sphere("base_link", (0.0, y, z), 0.093) for y in (-0.097, 0.097) for z in (-0.24, -0.33, -0.42))
    return (*torso, chest, *hips, *groin, *thighs)
