# SPDX-License-Identifier: Apache-2.0
"""The GR-1 upper body as a MuJoCo model: the manufacturer's URDF, driven as the joint table says.

Joints keep the URDF's names. Hand joints are flipped so that closing is positive (the model convention).
Servo gains, armature and contact parameters are those measured to hold objects by finger contact alone.
"""

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.description import urdf_path
from gr00t_policy.core.embodiment import Embodiment, Joint
from gr00t_sim.assets import lighten

BASE_HEIGHT_M = 0.92  # the soles then stand on the floor
HEAD_CAMERA = "ego_view"
SIDES = ("left", "right")
GROUP_SEEN_BY_HEAD = 1  # hands and forearms
GROUP_BODY = 2  # torso, head, legs: only in outside views
GROUP_COLLISION = 3

_LEG_JOINTS = ("hip", "knee", "ankle")
_LEG_MESHES = ("thigh", "shank", "foot")
_SEEN_FACES, _BODY_FACES = 1500, 6000  # per mesh: what the head camera draws 20 times a second, and the rest
_HAND_CONTACT = {
    "friction": [1.0, 0.02, 0.001],
    "condim": 4,
    "priority": 1,
    "solref": [0.01, 1],
    "solimp": [0.95, 0.99, 0.001, 0.5, 2],
}


@dataclass(frozen=True)
class Servo:
    """Position servo: stiffness [Nm/rad], damping [Nm s/rad], rotor inertia [kg m2], joint damping [Nm s/rad]."""

    kp: float
    kv: float
    armature: float
    joint_damping: float = 0.5


_SERVOS = (
    ("shoulder_pitch", Servo(300, 30, 0.10)),
    ("shoulder_roll", Servo(300, 30, 0.10)),
    ("shoulder_yaw", Servo(200, 20, 0.06)),
    ("elbow_pitch", Servo(200, 20, 0.06)),
    ("wrist_yaw", Servo(80, 6, 0.02)),
    ("wrist_roll", Servo(60, 4, 0.01)),
    ("wrist_pitch", Servo(60, 4, 0.01)),
    ("waist_yaw", Servo(800, 80, 0.2)),
    ("waist_", Servo(1200, 100, 0.2)),
    ("head_", Servo(40, 3, 0.02)),
    ("thumb_proximal_yaw", Servo(4, 0.1, 0.002, 0.08)),
    ("_proximal", Servo(2, 0.1, 0.002, 0.08)),
)


def robot_spec(embodiment: Embodiment, *, kinematic: bool = False) -> mujoco.MjSpec:
    """The robot alone. ``kinematic``: arms, waist and neck without geometry or servos, for kinematics."""
    spec = _read_urdf()
    for joint in list(spec.joints):
        if any(part in joint.name for part in _LEG_JOINTS):
            spec.delete(joint)
    spec.body("base_link").pos = [0, 0, BASE_HEIGHT_M]
    _flip_hands(spec, embodiment)
    for side in SIDES:
        _add_grasp_site(spec, side)
    _add_head_camera(spec)
    if kinematic:
        _strip_to_kinematics(spec)
        return spec
    _lighten_meshes(spec)
    _sort_geoms(spec)
    for joint in embodiment.joints:
        _drive(spec, joint)
    for joint in spec.joints:
        if joint.name.startswith(("L_", "R_")):
            joint.damping = [0.08, 0, 0]
            joint.armature = 0.002
    _set_options(spec)
    return spec


def _read_urdf() -> mujoco.MjSpec:
    path = urdf_path()
    text = path.read_text()
    # MuJoCo drops visual meshes of a URDF unless told otherwise inside the file itself.
    compiler = (
        '<mujoco><compiler discardvisual="false" fusestatic="false" strippath="false" '
        f'meshdir="{path.parent}"/></mujoco>'
    )
    after_robot_tag = text.index(">", text.index("<robot")) + 1
    return mujoco.MjSpec.from_string(text[:after_robot_tag] + compiler + text[after_robot_tag:])


def _flip_hands(spec: mujoco.MjSpec, embodiment: Embodiment) -> None:
    flipped = {joint.name for joint in embodiment.joints if joint.sign < 0}
    for joint in spec.joints:
        follower = joint.name.startswith(("L_", "R_")) and "intermediate" in joint.name
        if joint.name in flipped or follower:
            joint.axis = -np.array(joint.axis)
            joint.range = [-joint.range[1], -joint.range[0]]


def _lighten_meshes(spec: mujoco.MjSpec) -> None:
    folder = urdf_path().parent
    for mesh in spec.meshes:
        mesh.maxhullvert = 32
        cell_m = 0.0025 if "hand_6dof" in mesh.file else 0.015 if any(p in mesh.file for p in _LEG_MESHES) else 0.008
        seen = "hand" in mesh.file or "lower_arm" in mesh.file
        lighten(mesh, folder / mesh.file, cell_m, _SEEN_FACES if seen else _BODY_FACES)


def _sort_geoms(spec: mujoco.MjSpec) -> None:
    for body in spec.bodies:
        if body.name != "world":
            body.gravcomp = 1
        hand = body.name.startswith(("L_", "R_"))
        seen = hand or "hand" in body.name or "lower_arm" in body.name
        for geom in body.geoms:
            if geom.contype == 0 and geom.conaffinity == 0:
                geom.mass = 0
                geom.group = GROUP_SEEN_BY_HEAD if seen else GROUP_BODY
                if hand:
                    geom.rgba = [0.16, 0.16, 0.17, 1]
                continue
            geom.group = GROUP_COLLISION
            geom.condim = 3
            if hand:
                for key, value in _HAND_CONTACT.items():
                    setattr(geom, key, value)


def _drive(spec: mujoco.MjSpec, row: Joint) -> None:
    servo = next(servo for part, servo in _SERVOS if part in row.name)
    joint = spec.joint(row.name)
    joint.range = [row.lower_rad, row.upper_rad]
    joint.armature = servo.armature
    joint.damping = [servo.joint_damping, 0, 0]
    actuator = spec.add_actuator(name=row.name, target=row.name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    actuator.set_to_position(kp=servo.kp, kv=servo.kv)
    actuator.ctrlrange = [row.lower_rad, row.upper_rad]
    actuator.ctrllimited = 1
    if row.group.endswith("hand"):
        joint.actfrclimited = 0
        actuator.forcerange = [-row.effort_nm, row.effort_nm]
        actuator.forcelimited = 1
    else:  # gravity torque counts against the motor's effort limit
        joint.actfrcrange = [-row.effort_nm, row.effort_nm]
        joint.actfrclimited = 1
        joint.actgravcomp = 1


def _add_grasp_site(spec: mujoco.MjSpec, side: str) -> None:
    """Grasp frame in the palm: x to the finger tips, z to the index finger; y leaves the right palm, enters the left."""
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], float).ravel())
    out_of_palm = 0.05 if side == "right" else -0.05
    palm = spec.body(f"{side[0].upper()}_hand_base_link")
    palm.add_site(name=f"{side}_grasp", pos=[0, out_of_palm, -0.103], quat=quat, size=[0.005] * 3, group=4)


def _add_head_camera(spec: mujoco.MjSpec) -> None:
    # Orientation and field of view of the public GR-1 tabletop benchmark, shifted clear of the face mesh.
    head = spec.body("head_yaw_link")
    head.add_camera(name=HEAD_CAMERA, pos=[0.20, 0, 0.06], quat=[0.676, 0.205, -0.205, -0.676], fovy=77)


def _set_options(spec: mujoco.MjSpec) -> None:
    spec.option.timestep = 0.002
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10
    spec.visual.global_.offwidth = 1280
    spec.visual.global_.offheight = 960
    spec.visual.quality.shadowsize = 1024
    spec.visual.quality.offsamples = 0


def _strip_to_kinematics(spec: mujoco.MjSpec) -> None:
    for element in list(spec.actuators) + list(spec.equalities):
        spec.delete(element)
    for joint in list(spec.joints):
        if joint.name.startswith(("L_", "R_")):
            spec.delete(joint)
    for element in list(spec.geoms) + list(spec.meshes):
        spec.delete(element)


def finger_indices(embodiment: Embodiment) -> dict[str, NDArray[np.int64]]:
    """Side -> where its six finger joints are among ``embodiment.joints``."""
    return {
        side: np.array([index for index, joint in enumerate(embodiment.joints) if joint.group == f"{side}_hand"])
        for side in SIDES
    }
