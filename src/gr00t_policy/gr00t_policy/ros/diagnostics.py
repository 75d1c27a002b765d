# SPDX-License-Identifier: Apache-2.0
"""`/diagnostics` of one node: a named status each for what it watches, published together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from gr00t_policy.ros.qos import DIAGNOSTICS

PERIOD_S = 1.0


class Level(Enum):
    """How bad: as in diagnostic_msgs."""

    OK = DiagnosticStatus.OK
    WARN = DiagnosticStatus.WARN
    ERROR = DiagnosticStatus.ERROR
    STALE = DiagnosticStatus.STALE


@dataclass(frozen=True)
class Status:
    """One line: what is watched, how it is, one sentence, and numbers or words by name."""

    name: str
    level: Level
    message: str
    values: Mapping[str, object] = field(default_factory=dict)


class Diagnostics:
    """Publishes statuses named '<node>: <name>'. Call ``publish`` once per ``PERIOD_S`` and when something changes."""

    def __init__(self, node: Node, hardware_id: str = "") -> None:
        self._prefix = node.get_name()
        self._hardware_id = hardware_id
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", DIAGNOSTICS)

    def publish(self, stamp: Time, statuses: list[Status]) -> None:
        message = DiagnosticArray()
        message.header.stamp = stamp
        message.status = [self._to_message(status) for status in statuses]
        self._publisher.publish(message)

    def _to_message(self, status: Status) -> DiagnosticStatus:
        return DiagnosticStatus(
            name=f"{self._prefix}: {status.name}",
            level=status.level.value,
            message=status.message,
            hardware_id=self._hardware_id,
            values=[KeyValue(key=key, value=_text(value)) for key, value in status.values.items()],
        )


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
