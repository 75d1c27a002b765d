# SPDX-License-Identifier: Apache-2.0
"""Versions of what computes and carries messages, for measurements."""

import importlib.metadata
import platform

_LIBRARIES = ("torch", "openvino", "rclpy", "mujoco")


def versions() -> dict[str, str]:
    """Of Python and of the libraries that make up the time of a tick; one that is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
