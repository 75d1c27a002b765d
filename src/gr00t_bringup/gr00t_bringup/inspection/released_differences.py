# SPDX-License-Identifier: Apache-2.0
"""How the data a release was trained on differ from the robot at hand: its metadata, camera by camera and group by group.

A release knows no joints by name, and not which of its cameras and groups are used: that is the robot's config. So what
only the checkpoint has is a note; what only the robot has, or what means something else, is a difference.
"""

from collections.abc import Iterator
from dataclasses import replace

from gr00t_bringup.inspection.report import Grid, Problem
from gr00t_bringup.inspection.robot_differences import HARM, both, camera_line, same, seen_differently
from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.data.statistics import Statistics, VideoModality

_SIDES = ("state", "action")
_CHANNELS = 3  # of the pictures that a robot publishes


def released_differences(metadata: Statistics, robot: Embodiment) -> list[Problem]:
    """metadata: the entry of the robot's tag, with all its groups and cameras."""
    return [*_cameras(metadata, robot), *_rate(metadata, robot), *_groups(metadata, robot)]


def beside_the_robot(metadata: Statistics, robot: Embodiment) -> Grid:
    """Every camera and group of either, and whether they are alike."""
    ours = {camera.name: camera_line(camera) for camera in robot.cameras}
    theirs = {name: _seen(seen) for name, seen in metadata.video.items()}
    rows = [
        _row(f"camera {name}", theirs.get(name, "-"), ours.get(name, "-")) for name in dict.fromkeys([*ours, *theirs])
    ]
    widths = _robot_widths(robot)
    for group in dict.fromkeys([*widths, *metadata.state, *metadata.action]):
        trained = dict.fromkeys(_width(metadata, side, group) for side in _SIDES)  # one number where both sides agree
        rows.append(_row(f"group {group}", " / ".join(trained), str(widths.get(group, "-"))))
    return Grid("the checkpoint's metadata beside the robot's config", ("", "checkpoint", "robot", ""), rows)


def _row(what: str, theirs: str, ours: str) -> tuple[str, ...]:
    if theirs == ours:
        return what, theirs, ours, "ok"
    lacking = {theirs: "not in the checkpoint", ours: "not in the robot's config"}
    return what, theirs, ours, lacking.get("-", "differs")


def _cameras(metadata: Statistics, robot: Embodiment) -> Iterator[Problem]:
    ours = {camera.name: camera for camera in robot.cameras}
    if not metadata.video:
        yield Problem("note", "cameras", "the checkpoint's metadata names none; they cannot be compared")
        return
    for name, seen in metadata.video.items():
        if name not in ours:
            yield Problem("note", f"camera {name}", f"in the checkpoint ({_seen(seen)}), not in the robot's config")
            continue
        width, height = seen.resolution
        yield from seen_differently(replace(ours[name], width=width, height=height, rate_hz=seen.fps), ours[name])
        if seen.channels != _CHANNELS:
            yield Problem("difference", f"camera {name}", both(f"{seen.channels} channels", f"{_CHANNELS}"))
    for name in ours:
        if name not in metadata.video:
            has = ", ".join(metadata.video)
            yield Problem(
                "difference", f"camera {name}", f"in the robot's config, not in the checkpoint, which has: {has}"
            )


def _rate(metadata: Statistics, robot: Embodiment) -> Iterator[Problem]:
    """A dataset has one rate, for videos, states and actions alike; the videos' is the only one that metadata say."""
    names = {camera.name for camera in robot.cameras}
    seen = {name: item.fps for name, item in metadata.video.items()}
    rates = sorted({fps for name, fps in seen.items() if name in names} or set(seen.values()))
    if rates and not any(same(fps, robot.rate_hz) for fps in rates):
        recorded = " and ".join(f"{fps:g}" for fps in rates)
        yield Problem("difference", "rate_hz", f"{both(recorded, f'{robot.rate_hz:g}')}; {HARM['rate_hz']}")


def _groups(metadata: Statistics, robot: Embodiment) -> Iterator[Problem]:
    widths = _robot_widths(robot)
    for group, width in widths.items():
        trained = [_width(metadata, side, group) for side in _SIDES]
        if trained == ["-", "-"]:
            has = ", ".join(f"{name} {_width(metadata, 'action', name)}" for name in metadata.action)
            detail = f"in the robot's config ({width}), not in the checkpoint, which has: {has}"
            yield Problem("difference", f"group {group}", detail)
            continue
        if trained != [str(width)] * 2:
            state, action = trained
            detail = both(state if state == action else f"state {state}, action {action}", str(width))
            yield Problem("difference", f"group {group}", detail)
        for side in _SIDES:
            yield from _kind(metadata, robot, side, group)
    for group in dict.fromkeys([*metadata.state, *metadata.action]):
        if group not in widths:
            trained_as = _width(metadata, "action" if group in metadata.action else "state", group)
            yield Problem("note", f"group {group}", f"in the checkpoint ({trained_as}), not in the robot's config")


def _kind(metadata: Statistics, robot: Embodiment, side: str, group: str) -> Iterator[Problem]:
    """What the numbers are, beside what the robot sends and is sent."""
    kind, encoding, what = metadata.kind(side, group), robot.encoding(side, group), f"{side} of group {group}"
    if not kind.absolute:
        yield Problem("difference", what, both("changes from step to step (absolute false)", "absolute values"))
    if kind.rotation_type != encoding.rotation_source:
        texts = [
            f"rotation {name}" if name else "no rotation" for name in (kind.rotation_type, encoding.rotation_source)
        ]
        yield Problem("difference", what, both(*texts))
    if not kind.continuous and encoding.mode != "binary":
        yield Problem("difference", what, both("switched values (continuous false)", f"mode {encoding.mode}"))


def _robot_widths(robot: Embodiment) -> dict[str, int]:
    return {group: part.stop - part.start for group, part in robot.policy_slices.items()}


def _width(metadata: Statistics, side: str, group: str) -> str:
    keys = metadata.state if side == "state" else metadata.action
    return str(len(keys[group].min)) if group in keys else "-"


def _seen(video: VideoModality) -> str:
    width, height = video.resolution
    return f"{width}x{height} at {video.fps:g} Hz"
