# SPDX-License-Identifier: Apache-2.0
"""The one way to write a node's setting down: a dataclass field that becomes a ROS parameter."""

from dataclasses import Field, field, fields
from typing import Any


def setting(
    default: Any,
    description: str,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    *,
    live: bool = False,
    name: str = "",
) -> Any:
    """A dataclass field that becomes a ROS parameter. low, high: both allowed; both or neither.

    live: it may be changed while the node is configured. name: of the parameter where it differs from the field's, as a
    name with dots does.
    """
    metadata: dict[str, Any] = {"description": description, "unit": unit, "live": live}
    if low is not None and high is not None:
        metadata["range"] = (low, high)
    if name:
        metadata["name"] = name
    return field(default=default, metadata=metadata)


def settings_fields(cls: type[Any]) -> dict[str, Field[Any]]:
    """The fields of a settings dataclass by parameter name: its own first, then those that it inherits unchanged."""
    own = vars(cls).get("__annotations__", {})
    ordered = sorted(fields(cls), key=lambda item: item.name not in own)
    return {item.metadata.get("name", item.name): item for item in ordered}
