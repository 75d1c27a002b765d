# SPDX-License-Identifier: Apache-2.0
"""What a recording says about the software that made it."""

from importlib.metadata import version

from gr00t_policy.core.source_revision import suite_revision
from gr00t_teleop.recording.software import software_versions


def test_versions_of_the_suite_and_of_the_writer_are_named():
    named = {name: version(name) for name in ("gr00t_policy", "gr00t_teleop", "mcap")}
    assert software_versions().items() >= named.items()
    assert software_versions().get("git", "") == suite_revision()
