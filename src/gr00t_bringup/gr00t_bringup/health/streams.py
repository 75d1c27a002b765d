# SPDX-License-Identifier: Apache-2.0
"""Judges what was seen of a running robot: sensors present and fresh, nodes active, one publisher for each command."""

from gr00t_bringup.health.finding import Finding, error, ok, warning
from gr00t_bringup.health.live_facts import LiveFacts, StreamFacts
from gr00t_bringup.inspection.report import few
from gr00t_planner.config import PlannerConfig
from gr00t_policy.core.embodiment import Camera, Embodiment
from gr00t_safety.config import DRY_RUN_TOPIC, GateConfig

# The nodes that act; the robot or the simulator is judged by its streams.
EXPECTED = ("planner", "controller", "command_gate")
_LEAST_JOINT_RATE_HZ = 50.0
_CAMERA_SHARE = 0.8  # of the rate that the embodiment gives
_ENCODINGS = ("rgb8", "bgr8", "rgba8", "bgra8")  # that the planner takes
_CLOCK_S = 60.0  # further apart, the clocks differ, or one is simulated
_CLOCK_FIX = "one clock for all machines: chronyc tracking (or ptp4l); stamps must come from the system clock"
_LAUNCH = "ros2 launch gr00t_bringup gr1.launch.py"


def live_findings(facts: LiveFacts, robot: Embodiment, *, demanded: bool) -> list[Finding]:
    """demanded: a robot should run; else an empty domain is fine and takes one line."""
    if not facts.concerns_us and not demanded:
        others = f"; other nodes there: {', '.join(facts.nodes[:5])}" if facts.nodes else ""
        return [ok("robot", f"none running on domain {facts.domain}{others}")]
    findings = [_joints(facts.joints, robot, facts.clock)]
    for camera in robot.cameras:
        findings.append(_camera(facts.cameras[camera.name], camera, facts.clock))
    return [*findings, *_nodes(facts), *_commands(facts)]


def _joints(stream: StreamFacts, robot: Embodiment, clock: bool) -> Finding:
    name = stream.topic
    if silent := _silent(stream, "the robot's driver"):
        return silent
    if len(stream.publishers) > 1:
        return _several(name, stream.publishers)
    missing = [joint for joint in robot.joint_names if joint not in stream.names]
    if missing:
        found = f"{len(stream.names)} joints, without {few(missing)}"
        fix = f"the driver must publish all joints of '{robot.name}' in every message, by these names: the gate believes no other"
        return error(name, found, fix)
    if stream.not_finite:
        return error(name, f"not finite: {', '.join(stream.not_finite)}", "look at the driver and the encoders")
    gate = GateConfig()
    if stale := _stale(stream, gate.joint_state_hold_s, clock):
        return stale
    found = f"{_rate_and_age(stream)}, {len(robot.joint_names)} joints of '{robot.name}'"
    if stream.rate_hz < _LEAST_JOINT_RATE_HZ:
        return warning(
            name, found, f"the gate holds the robot below {1 / gate.joint_state_hold_s:.0f} Hz; raise the rate"
        )
    return ok(name, found)


def _camera(stream: StreamFacts, camera: Camera, clock: bool) -> Finding:
    name = stream.topic
    if silent := _silent(stream, "the camera's driver"):
        return silent
    if len(stream.publishers) > 1:
        return _several(name, stream.publishers)
    if stale := _stale(stream, PlannerConfig().max_image_age_s, clock):
        return stale
    found = f"{_rate_and_age(stream)}, {stream.size[0]}x{stream.size[1]} {stream.encoding}" if stream.size else ""
    if stream.encoding not in _ENCODINGS:
        return error(name, found, f"set the driver's colour format to one of: {', '.join(_ENCODINGS)}")
    if stream.size != (camera.width, camera.height):
        return error(
            name,
            found,
            f"the robot's file says {camera.width}x{camera.height} and the planner refuses others: set the driver, or write a "
            "robot's file with the camera's size (docs/add_a_robot.md)",
        )
    if stream.rate_hz < _CAMERA_SHARE * camera.rate_hz:
        return warning(name, found, f"expected {camera.rate_hz:g} Hz: exposure, USB bandwidth, network")
    return ok(name, found)


def _silent(stream: StreamFacts, driver: str) -> Finding | None:
    if stream.other_type:
        return error(stream.topic, f"its type is {stream.other_type}", "remap the publisher to another name")
    if not stream.publishers:
        return error(stream.topic, "nobody publishes it", f"start {driver}, or remap its topic (ros2 topic list)")
    if not stream.received:
        found = f"published by {', '.join(stream.publishers)}, but nothing arrives"
        return error(
            stream.topic, found, "is the driver running? firewall, multicast, shared memory: ros2 multicast receive"
        )
    return None


def _stale(stream: StreamFacts, limit_s: float, clock: bool) -> Finding | None:
    name, age_s = stream.topic, stream.age_s
    if stream.stands_still:
        return error(name, f"{stream.rate_hz:.1f} Hz, but the stamp never changes", "the driver repeats one old sample")
    if abs(age_s) > _CLOCK_S and clock:
        found = f"{stream.rate_hz:.1f} Hz, stamps in another time than the system's; their age cannot be judged"
        return warning(name, found, "right only when stamps and nodes follow /clock: launch with use_sim_time:=true")
    if abs(age_s) > _CLOCK_S:
        return error(name, f"stamps are {abs(age_s):.0f} s {'old' if age_s > 0 else 'in the future'}", _CLOCK_FIX)
    if age_s > limit_s:
        found = f"{1e3 * age_s:.0f} ms old on arrival, at most {1e3 * limit_s:.0f} ms are accepted"
        return error(name, found, f"stamp when the sample was taken, look for delays; or {_CLOCK_FIX}")
    if age_s < -PlannerConfig().max_future_s:
        return error(name, f"stamps lie {-1e3 * age_s:.0f} ms in the future", _CLOCK_FIX)
    return None


def _rate_and_age(stream: StreamFacts) -> str:
    return f"{stream.rate_hz:.1f} Hz, {1e3 * stream.age_s:.0f} ms old"


def _nodes(facts: LiveFacts) -> list[Finding]:
    """Those that run and are not active, one by one; the active ones in one line."""
    findings = []
    for node, state in facts.lifecycle.items():
        command = f"ros2 lifecycle set {facts.namespace}/{node}"
        if state == "inactive":
            findings.append(warning(node, "inactive", f"{command} activate"))
        elif state != "active":
            found = state or "does not answer"
            findings.append(error(node, found, f"its log says why; then: {command} configure"))
    if absent := [node for node in EXPECTED if node not in facts.lifecycle]:
        launch = f"{_LAUNCH} namespace:={facts.namespace.strip('/')}" if facts.namespace else _LAUNCH
        findings.append(warning("nodes running", f"without {', '.join(absent)}", launch))
    if active := [node for node, state in facts.lifecycle.items() if state == "active"]:
        findings.append(ok("nodes active", ", ".join(active)))
    return findings


def _commands(facts: LiveFacts) -> list[Finding]:
    findings = [_several(topic, nodes) for topic, nodes in facts.commands.items() if len(nodes) > 1]
    if not findings and any(facts.commands.values()):
        single = [f"{topic} by {nodes[0]}" for topic, nodes in facts.commands.items() if nodes]
        findings.append(ok("commands", ", ".join(single)))
    if facts.commands.get(DRY_RUN_TOPIC):
        fix = "launch with dry_run:=false when the robot may move"
        findings.append(warning("dry run", "the gate's commands reach no robot", fix))
    return findings


def _several(topic: str, nodes: tuple[str, ...]) -> Finding:
    return error(
        topic, f"{len(nodes)} publishers: {', '.join(nodes)}", "stop all but one; two would fight over the robot"
    )
