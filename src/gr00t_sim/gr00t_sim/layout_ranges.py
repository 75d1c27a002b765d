# SPDX-License-Identifier: Apache-2.0
"""What is random in each task's scene, as a table for docs/tasks.md: ``python -m gr00t_sim.layout_ranges docs/tasks.md``.

Found by drawing scenes whose every number is at one end of its range, so that it says what tasks do, not what they mean to
do. A test makes it again and compares.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import ConfigError
from gr00t_sim.furniture import DOOR_JOINT
from gr00t_sim.tasks.registry import TASKS
from gr00t_sim.tasks.task import Task

Vector = NDArray[np.float64]
BEGIN, END = "<!-- layout ranges -->\n", "\n<!-- end: layout ranges -->"
_DRAWS = 100  # each number is at either end with even chance
_ROUNDED_M = 0.005
_ANY_TURN_DEG = 179.0


def layout_table() -> str:
    """A Markdown table, a row a task."""
    rows = [f"| `{name}` | {'; '.join(_ranges(task()))} |" for name, task in TASKS.items()]
    return "\n".join(("| task | random from scene to scene |", "|---|---|", *rows))


def with_table(page: str) -> str:
    """The page with the text between the markers replaced. Raises ConfigError when it has none."""
    if BEGIN not in page or END not in page:
        raise ConfigError(f"the page has no '{BEGIN.strip()}' ... '{END.strip()}'")
    head, rest = page.split(BEGIN, 1)
    return head + BEGIN + layout_table() + END + rest.split(END, 1)[1]


class Ends(np.random.Generator):
    """A generator that draws from the two ends of a range where another one draws from all of it."""

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        """``low`` or ``high``, of each number by itself."""
        shape = np.broadcast(low, high).shape if size is None else size
        return np.where(self.integers(0, 2, size=shape), high, low)


def draw_scenes(task: Task) -> dict[str, Vector]:
    """Thing -> its places (N, 2 or 3): x, y and, of an object, its turn [m, rad]; joint -> its openings (N, 1)."""
    rng = Ends(np.random.PCG64(0))
    found: dict[str, list[Vector]] = {}
    for _ in range(_DRAWS):
        objects, places = task._scene(rng)
        openings = {joint: np.array([value]) for joint, value in task._openings(rng).items()}
        for name, value in {**objects, **places, **openings}.items():
            found.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in found.items()}


def _ranges(task: Task) -> list[str]:
    """What varies how, things that vary alike together."""
    scenes = draw_scenes(task)
    scenes = {name: values for name, values in scenes.items() if not name.startswith("bead")}  # they lie in the cup
    alike: dict[str, list[str]] = {}
    for name, values in scenes.items():
        alike.setdefault(_opening(name, values) if values.shape[1] == 1 else _place(values), []).append(name)
    return [f"{', '.join(names)}: {said}" for said, names in _sorted(alike).items()]


def _sorted(alike: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {said: sorted(names) for said, names in alike.items()}


def _opening(joint: str, values: Vector) -> str:
    if joint == DOOR_JOINT:
        return f"open by {np.rad2deg(values.min()):.0f} to {np.rad2deg(values.max()):.0f}°"
    return f"open by {_span(values[:, 0])} cm"


def _place(values: Vector) -> str:
    x, y = values[:, 0], values[:, 1]
    across = f"y {_span(y)} cm"
    if y.min() < 0 < y.max() and np.ptp(np.abs(y)) > 1e-9:
        across = f"{_span(np.abs(y))} cm left or right"
    said = f"x {_span(x)} cm, {across}"
    if values.shape[1] == 3 and np.ptp(values[:, 2]) > 0:
        turn_deg = np.rad2deg(np.abs(values[:, 2])).max()
        said += ", any turn" if turn_deg > _ANY_TURN_DEG else f", turned by up to {turn_deg:.0f}°"
    return said


def _span(values: Vector) -> str:
    """Ends in cm, to half a centimetre."""
    low, high = (100 * _ROUNDED_M * round(value / _ROUNDED_M) for value in (values.min(), values.max()))
    return f"{low:g} to {high:g}"


def main() -> int:
    """Rewrite the table in the file named on the command line."""
    file = Path(sys.argv[1])
    file.write_text(with_table(file.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
