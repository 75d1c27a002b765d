# SPDX-License-Identifier: Apache-2.0
"""How the robot a network was trained on differs from the robot at hand: joints, groups, cameras, rates, one by one."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import gr00t_policy
from gr00t_bringup.inspection.report import Problem, few, number
from gr00t_policy.core.embodiment import Camera, Embodiment, Joint
from gr00t_policy.data.statistics import KeyStatistics

_SAME = 1e-6
TOUCH_RAD = 0.01  # data recorded at a limit overshoots it by less than this
_LIMITS = {"lower_rad", "upper_rad"}
# What is commanded or seen wrongly when it differs; any other field is a note.
HARM = {
    "projector_index": "the network would use the weights of another robot",
    "rate_hz": "motion would play at another speed",
    "state_encoding": "the network would misread the joint angles",
}
_NOT_COMPARED = {"name", "joints", "policy_groups", "cameras", "home"}


def shipped_robots() -> list[str]:
    """Names of the embodiment files that come with the suite."""
    folder = Path(gr00t_policy.__file__).resolve().parent / "embodiments"
    return sorted(file.stem for file in folder.glob("*.yaml"))


def robot_differences(trained: Embodiment, robot: Embodiment) -> list[Problem]:
    """What of ``trained`` (in the checkpoint) is otherwise in ``robot`` (the config); empty when they are the same."""
    return [*_groups(trained, robot), *_joints(trained, robot), *_cameras(trained, robot), *_rest(trained, robot)]


def outside_limits(side: str, statistics: dict[str, KeyStatistics], robot: Embodiment) -> list[Problem]:
    """Joints whose data leave the robot's limits. side: 'action' or 'state'.

    A limit for each joint of which 1 % of the actions lie outside: the policy will ask for it and the gate will clamp it.
    One note for all joints where only the extremes do, or only the measured state.
    """
    found, extremes = [], []
    for group, part in robot.policy_slices.items():
        given = statistics.get(group)
        if given is None or len(given.min) != part.stop - part.start:
            continue  # named among the differences of the groups
        for index, joint in enumerate(robot.policy_joints[part]):
            low, high = float(given.q01[index]), float(given.q99[index])
            if side == "action" and _beyond(low, high, joint) > TOUCH_RAD:
                found.append(Problem("limit", joint.name, f"actions {_range(low, high)}, {_limits(joint)}"))
            elif _beyond(given.min[index], given.max[index], joint) > TOUCH_RAD:
                extremes.append(joint.name)
    if extremes:
        detail = f"the {side}'s extremes lie outside in {len(extremes)}: {few(extremes)}"
        found.append(Problem("note", "joint limits", detail))
    return found


def seen_differently(trained: Camera, own: Camera) -> Iterator[Problem]:
    """Size and rate of one camera's pictures; nothing where they are the same."""
    if camera_line(trained) == camera_line(own):
        return
    distorted = trained.width * own.height != own.width * trained.height
    resized = "; it is resized" if (trained.width, trained.height) != (own.width, own.height) else ""
    detail = f"checkpoint {camera_line(trained)}, robot publishes {camera_line(own)}"
    detail += "; it would be distorted" if distorted else resized
    yield Problem("difference" if distorted else "note", f"camera {own.name}", detail)


def camera_line(camera: Camera) -> str:
    return f"{camera.width}x{camera.height} at {camera.rate_hz:g} Hz"


def both(theirs: object, ours: object) -> str:
    return f"checkpoint {theirs}, robot {ours}"


def same(theirs: Any, ours: Any) -> bool:
    """Equal, numbers nearly."""
    if isinstance(theirs, int | float) and isinstance(ours, int | float):
        return bool(abs(theirs - ours) <= _SAME)
    return bool(theirs == ours)


def _beyond(low: float, high: float, joint: Joint) -> float:
    return max(joint.lower_rad - low, high - joint.upper_rad)


def _range(low: float, high: float) -> str:
    return f"{number(low)} .. {number(high)} rad"


def _limits(joint: Joint) -> str:
    return f"limits {_range(joint.lower_rad, joint.upper_rad)}"


def _groups(trained: Embodiment, robot: Embodiment) -> Iterator[Problem]:
    theirs, ours = trained.policy_groups, robot.policy_groups
    for group in theirs:
        if group not in ours:
            yield Problem("difference", f"group {group}", f"driven by the checkpoint, not by '{robot.name}'")
    for group in ours:
        if group not in theirs:
            yield Problem("difference", f"group {group}", f"driven by '{robot.name}', unknown to the checkpoint")
    if set(theirs) == set(ours) and theirs != ours:
        yield Problem("difference", "order of groups", both(", ".join(theirs), ", ".join(ours)))


def _joints(trained: Embodiment, robot: Embodiment) -> Iterator[Problem]:
    """Joints of the groups that both have."""
    known = {joint.name: joint for joint in robot.joints}
    for group in trained.policy_groups:
        theirs = [joint for joint in trained.policy_joints if joint.group == group]
        ours = [joint for joint in robot.policy_joints if joint.group == group]
        their_names, our_names = [joint.name for joint in theirs], [joint.name for joint in ours]
        for joint in theirs:
            if joint.name not in known:
                yield Problem("difference", f"joint {joint.name}", f"'{robot.name}' has no such joint (group {group})")
            else:
                yield from _one_joint(joint, known[joint.name])
        if ours:
            for name in our_names:
                if name not in their_names:
                    yield Problem("difference", f"joint {name}", f"the checkpoint does not drive it (group {group})")
        if set(their_names) == set(our_names) and their_names != our_names:
            yield Problem(
                "difference", f"order of joints in {group}", both(", ".join(their_names), ", ".join(our_names))
            )


def _one_joint(theirs: Joint, ours: Joint) -> Iterator[Problem]:
    if theirs.sign != ours.sign:
        yield Problem(
            "difference", f"sign of {ours.name}", both(theirs.sign, ours.sign) + "; it would move the wrong way"
        )
    if not (same(theirs.lower_rad, ours.lower_rad) and same(theirs.upper_rad, ours.upper_rad)):
        texts = [_range(joint.lower_rad, joint.upper_rad) for joint in (theirs, ours)]
        yield Problem("difference", f"limits of {ours.name}", both(*texts))
    for item in fields(Joint):
        if item.name in {"name", "sign"} | _LIMITS:
            continue
        pair = getattr(theirs, item.name), getattr(ours, item.name)
        if not same(*pair):
            yield Problem("difference" if item.name == "group" else "note", f"{item.name} of {ours.name}", both(*pair))


def _cameras(trained: Embodiment, robot: Embodiment) -> Iterator[Problem]:
    ours = {camera.name: camera for camera in robot.cameras}
    names = ", ".join(ours) or "none"
    for camera in trained.cameras:
        if camera.name not in ours:
            yield Problem("difference", f"camera {camera.name}", f"'{robot.name}' has no such camera; it has: {names}")
            continue
        own = ours[camera.name]
        yield from seen_differently(camera, own)
        if camera.frame_id != own.frame_id:
            yield Problem("note", f"frame_id of camera {camera.name}", both(camera.frame_id, own.frame_id))
    for name in ours:
        if name not in {camera.name for camera in trained.cameras}:
            yield Problem("note", f"camera {name}", "the checkpoint does not look through it")


def _rest(trained: Embodiment, robot: Embodiment) -> Iterator[Problem]:
    """The robot's own fields; those that this file does not know are compared as well."""
    for item in fields(Embodiment):
        pair = getattr(trained, item.name), getattr(robot, item.name)
        if item.name in _NOT_COMPARED or same(*pair):
            continue
        harm = HARM.get(item.name)
        yield Problem("difference" if harm else "note", item.name, both(*pair) + (f"; {harm}" if harm else ""))
