# SPDX-License-Identifier: Apache-2.0
"""The suites of tasks by name: what ``gr00t eval --suite NAME`` runs."""

from gr00t_policy.core.errors import ConfigError
from gr00t_sim.tasks.registry import TASKS

SUITES: dict[str, tuple[str, ...]] = {"gr1_tabletop": tuple(TASKS)}


def tasks_of(suite: str) -> tuple[str, ...]:
    """Names of the suite's tasks. Raises ConfigError naming the known suites."""
    if suite not in SUITES:
        raise ConfigError(f"unknown suite '{suite}'; known: {', '.join(SUITES)}")
    return SUITES[suite]
