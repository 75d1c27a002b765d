# SPDX-License-Identifier: Apache-2.0
"""Which software makes a recording, so that a bag can be traced back to it."""

from importlib.metadata import version

from gr00t_policy.core.source_revision import suite_revision

_PACKAGES = ("gr00t_policy", "gr00t_teleop", "mcap")


def software_versions() -> dict[str, str]:
    """Name -> version of what receives and writes; ``git``: the revision of the sources, where they are a git checkout."""
    found = {name: version(name) for name in _PACKAGES}
    return {**found, "git": suite_revision()} if suite_revision() else found
