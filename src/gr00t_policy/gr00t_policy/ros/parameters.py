# SPDX-License-Identifier: Apache-2.0
"""A frozen dataclass as the ROS parameters of a node: declared, checked and read in one go, unknown names refused.

Field metadata: ``description``, ``unit``, ``range`` (low, high, both allowed), ``live`` (True: may be changed while
the node is configured; all others only before), ``name`` (of the parameter, where it is not the field's).
The node must be made with ``automatically_declare_parameters_from_overrides=True``, so that names nobody asked for are seen.
"""

import math
from collections.abc import Callable
from dataclasses import Field
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.runtime.settings import settings_fields

Settings = TypeVar("Settings")

_OF_ROS = ("use_sim_time", "start_type_description_service")
_OF_ROS_PREFIXES = ("qos_overrides.",)


def declare_settings(node: Node, cls: type[Settings]) -> None:
    """Declare every field of ``cls`` with its range and default or override. Raises ConfigError, naming what is wrong."""
    known = settings_fields(cls)
    overrides: dict[str, Any] = node.get_parameters_by_prefix("")
    given = {name: parameter.value for name, parameter in overrides.items()}
    _refuse_unknown(node, given, known)
    hints = get_type_hints(cls)
    for name, item in known.items():
        value = _checked(name, item, hints[item.name], _given(name, hints[item.name], given, item.default))
        if node.has_parameter(name):
            node.undeclare_parameter(name)
        node.declare_parameter(name, _plain(value), _descriptor(item, hints[item.name]), ignore_override=True)
    read_settings(node, cls)


def read_settings(node: Node, cls: type[Settings]) -> Settings:
    """The declared parameters as ``cls``, whose own checks run. Raises ConfigError."""
    hints = get_type_hints(cls)
    values = {
        item.name: _checked(name, item, hints[item.name], node.get_parameter(name).value)
        for name, item in settings_fields(cls).items()
    }
    return cls(**values)


def guard_changes(node: Node, cls: type[Settings], is_configured: Callable[[], bool]) -> None:
    """Refuse changes that ``cls`` does not allow, and changes of fields that are not ``live`` while configured."""
    known = settings_fields(cls)
    hints = get_type_hints(cls)

    def check(changes: list[Parameter]) -> SetParametersResult:
        ours = [change for change in changes if change.name in known]
        values = {name: node.get_parameter(name).value for name in known}
        try:
            for change in ours:
                if is_configured() and not known[change.name].metadata.get("live", False):
                    raise ConfigError(f"parameter '{change.name}' can only be changed while the node is unconfigured")
                values[change.name] = change.value
            cls(**{item.name: _checked(name, item, hints[item.name], values[name]) for name, item in known.items()})
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(check)


def _given(name: str, hint: Any, given: dict[str, Any], default: Any) -> Any:
    """The override, or the default. An override without a value is an empty list: ROS cannot say of what."""
    if name not in given:
        return default
    if given[name] is not None:
        return given[name]
    if get_origin(hint) is not tuple:
        raise ConfigError(f"parameter '{name}': expected {hint.__name__}, got an empty list, or nothing")
    return ()


def _refuse_unknown(node: Node, given: dict[str, Any], known: dict[str, Field]) -> None:
    unknown = sorted(
        name for name in given if name not in known and name not in _OF_ROS and not name.startswith(_OF_ROS_PREFIXES)
    )
    if unknown:
        raise ConfigError(
            f"unknown parameter(s) of node '{node.get_name()}': {', '.join(unknown)}; known: {', '.join(sorted(known))}"
        )


def _checked(name: str, item: Field, hint: Any, value: Any) -> Any:
    """The value in the field's type. Whole numbers are fine where fractions are; nothing else is converted."""
    if get_origin(hint) is tuple:
        element = get_args(hint)[0]
        if isinstance(value, str) or not hasattr(value, "__iter__"):
            raise ConfigError(f"parameter '{name}': expected a list of {element.__name__}, got {value!r}")
        return tuple(_scalar(name, element, each) for each in value)
    value = _scalar(name, hint, value)
    low, high = item.metadata.get("range", (-math.inf, math.inf))
    if not isinstance(value, str) and not low <= value <= high:
        unit = item.metadata.get("unit", "")
        raise ConfigError(f"parameter '{name}' is {value}; allowed is {low} to {high} {unit}".rstrip())
    return value


def _scalar(name: str, hint: type, value: Any) -> Any:
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint:
        raise ConfigError(f"parameter '{name}': expected {hint.__name__}, got {value!r} ({type(value).__name__})")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"parameter '{name}' must be a finite number, got {value}")
    return value


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _descriptor(item: Field, hint: Any) -> ParameterDescriptor:
    unit = item.metadata.get("unit", "")
    text = item.metadata.get("description", "") + (f" [{unit}]" if unit else "")
    descriptor = ParameterDescriptor(description=text, dynamic_typing=get_origin(hint) is tuple)
    if "range" in item.metadata and hint is int:
        low, high = item.metadata["range"]
        descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=0)]
    elif "range" in item.metadata and hint is float:
        low, high = item.metadata["range"]
        descriptor.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)]
    return descriptor
