# SPDX-License-Identifier: Apache-2.0
"""What a person who drives wants to know, as one status: the device, who drives and why not, the recorder, the task."""

from dataclasses import dataclass

from gr00t_bringup.status import NAN, Row, bar, hertz, milliseconds, number, remark

_DRIVERS = {"teleop": "the person", "policy": "the policy"}


@dataclass(frozen=True)
class TeleopStatus:
    """NaN and empty where nothing was said yet. wanted: episodes to be kept; 0: no number. notice: what the last key did."""

    device: str = ""
    device_rate_hz: float = NAN
    device_age_ms: float = NAN
    samples_lost: int = 0
    following: str = "no word yet"
    following_why: str = ""
    tick_p50_ms: float = NAN
    tick_p99_ms: float = NAN
    driver: str = ""
    gate: str = "no word yet"
    gate_reason: str = ""
    gate_rate_hz: float = NAN
    recorder: str = "no word yet"
    recorder_detail: str = ""
    alarm: bool = False
    recorded_s: float = NAN
    messages_lost: int = 0
    bag: str = ""
    controller: str = ""
    sentence: str = ""
    task_detail: str = ""
    progress: float = NAN
    success: bool = False
    kept: int = 0
    wanted: int = 0
    notice: str = ""


def rows(status: TeleopStatus) -> list[Row]:
    """Lines of the table."""
    age = f"age {milliseconds(status.device_age_ms)}, {status.samples_lost} lost"
    found = [
        ("sentence", status.sentence or "-", ""),
        ("device", f"{status.device or '-'} {hertz(status.device_rate_hz)}", age),
        ("the person", status.following, status.following_why),
        ("computing a command", f"{milliseconds(status.tick_p50_ms)} p50", f"{milliseconds(status.tick_p99_ms)} p99"),
        ("who drives", driver_words(status), remark(status.gate, status.gate_reason)),
        ("gate", hertz(status.gate_rate_hz), ""),
        ("task", bar(status.progress), "SOLVED" if status.success else status.task_detail),
        ("recorder", _recorder(status), ("ALARM: " if status.alarm else "") + status.recorder_detail),
        ("episodes kept", _kept(status), status.bag),
        ("", status.notice, ""),
    ]
    return [*found[:4], ("policy", status.controller, ""), *found[4:]] if status.controller else found


def line(status: TeleopStatus) -> str:
    """The same in one line, for logs."""
    return (
        f"device {status.device or '-'} {hertz(status.device_rate_hz)}, person {remark(status.following, status.following_why)}, "
        f"driver {driver_words(status)}, gate {remark(status.gate, status.gate_reason)}, recorder {_recorder(status)}"
        f"{' ALARM: ' + status.recorder_detail if status.alarm else ''}, kept {_kept(status)}, "
        f"task {number(100 * status.progress, '.0f')} % {'SOLVED' if status.success else status.task_detail}"
    )


def driver_words(status: TeleopStatus) -> str:
    """Whose commands the robot obeys; nobody's while the gate holds it."""
    chosen = _DRIVERS.get(status.driver, "nobody")
    return chosen if status.gate == "active" else f"nobody ({chosen} next)" if status.driver else "nobody"


def _recorder(status: TeleopStatus) -> str:
    if status.recorder not in ("recording", "saving", "review"):
        return status.recorder
    lost = f", {status.messages_lost} messages lost" if status.messages_lost else ""
    return f"{status.recorder} {number(status.recorded_s, '.1f')} s{lost}"


def _kept(status: TeleopStatus) -> str:
    return f"{status.kept} of {status.wanted}" if status.wanted else str(status.kept)
