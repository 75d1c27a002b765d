# SPDX-License-Identifier: Apache-2.0
"""How long before the command gate's ticks the loops that command it began their own, as they said in ``/diagnostics``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag import MessageDecoder, bag_topics, read_bag
from gr00t_policy.data.bag_damage import BROKEN_MESSAGE

_TOPIC, _TYPE = "/diagnostics", "diagnostic_msgs/msg/DiagnosticArray"  # has no namespace
_KEY = "tick_lead"


@dataclass(frozen=True)
class LeadFigures:
    """Of one node; milliseconds, NaN where there is no lead. how: 'measured', 'fixed' or 'none', with the reason.

    late: commands that may have missed their slot of the gate, since the node was activated.
    """

    how: str
    newest_ms: float
    shortest_ms: float
    longest_ms: float
    late: int


def read_leads(folder: Path) -> dict[str, LeadFigures]:
    """Node -> what it said; empty where the bag does not hold it. Raises DatasetError."""
    topic = bag_topics(folder).get(_TOPIC)
    if topic is None or topic.type_name != _TYPE:
        return {}
    found: dict[str, LeadFigures] = {}
    try:
        decode = MessageDecoder({_TOPIC: topic}).decode
        for message in read_bag(folder, [_TOPIC]):
            for status in decode(message).status:
                values = {pair.key: pair.value for pair in status.values}
                if _KEY in values:
                    node = status.name.split(":")[0]
                    found[node] = _with(found.get(node), values)
    except BROKEN_MESSAGE as error:
        raise DatasetError(f"a message of {_TOPIC} in bag {folder} cannot be read: {error!r}") from error
    return found


def leads_to_text(leads: Mapping[str, LeadFigures]) -> list[tuple[str, str]]:
    """A line for each node: (title, text)."""
    return [(f"tick lead of {node}", _text(each)) for node, each in sorted(leads.items())]


def _with(before: LeadFigures | None, values: Mapping[str, str]) -> LeadFigures:
    newest_ms = float(values.get("tick_lead.us", "nan")) / 1e3
    seen = (newest_ms, newest_ms) if before is None else (before.shortest_ms, before.longest_ms)
    late = int(values.get("tick_lead.late", "0"))
    return LeadFigures(values[_KEY], newest_ms, min(newest_ms, seen[0]), max(newest_ms, seen[1]), late)


def _text(lead: LeadFigures) -> str:
    if lead.newest_ms != lead.newest_ms:
        return lead.how
    return (
        f"{lead.newest_ms:.2f} ms before the gate's tick, {lead.how} ({lead.shortest_ms:.2f} to {lead.longest_ms:.2f}); "
        f"{lead.late} commands perhaps too late for it"
    )
