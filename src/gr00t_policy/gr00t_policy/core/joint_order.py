# SPDX-License-Identifier: Apache-2.0
"""Joints of messages by name -> vectors in the order and sign of the model. The only place that turns joint signs.

No ROS: a live node and a reader of recordings look joints up by this same code.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Joint
from gr00t_policy.core.errors import MessageError


class JointOrder:
    """A fixed list of joints against messages that name theirs in any order.

    Owned by one thread: it remembers where the names of the last message stood, which makes repeats cheap.
    """

    def __init__(self, joints: Sequence[Joint]) -> None:
        self.names = tuple(joint.name for joint in joints)
        self._signs = np.array([joint.sign for joint in joints], np.float64)
        self._seen: tuple[str, ...] | None = None
        self._index = np.zeros(0, np.intp)

    def to_ros(self, positions: NDArray[np.floating]) -> NDArray[np.float64]:
        """(..., J) model convention -> URDF convention (and back: signs are their own inverse)."""
        return positions * self._signs

    def positions(
        self, names: Sequence[str], values: Sequence[float] | NDArray[np.floating], what: str
    ) -> NDArray[np.float64]:
        """(J,) model convention from values under ``names``; joints that are not ours are ignored.

        Raises MessageError naming joints that are missing, repeated or not finite, or when lengths differ.
        """
        if len(values) != len(names):
            raise MessageError(f"{what}: {len(names)} names but {len(values)} positions")
        self._look_up(tuple(names), what)
        picked = np.asarray(values, np.float64)[self._index]
        finite = np.isfinite(picked)
        if not finite.all():
            bad = ", ".join(f"{self.names[i]}={picked[i]}" for i in np.flatnonzero(~finite)[:4])
            raise MessageError(f"{what}: not finite: {bad}")
        return picked * self._signs

    def exactly(self, names: Sequence[str], what: str) -> None:
        """Raise MessageError unless ``names`` are our joints, each once, in any order."""
        given = tuple(names)
        if given == self._seen and len(given) == len(self.names):
            return
        unknown = [name for name in given if name not in self.names]
        if unknown:
            raise MessageError(f"{what}: unknown joint(s) {', '.join(unknown[:4])}; known: {', '.join(self.names)}")
        self._look_up(given, what)

    def _look_up(self, names: tuple[str, ...], what: str) -> None:
        if names != self._seen:
            self._index = self._find(names, what)
            self._seen = names

    def _find(self, names: tuple[str, ...], what: str) -> NDArray[np.intp]:
        where = {name: i for i, name in enumerate(names)}
        if len(where) != len(names):
            repeated = sorted(name for name, count in Counter(names).items() if count > 1)
            raise MessageError(f"{what}: joint(s) named twice: {', '.join(repeated[:4])}")
        missing = [name for name in self.names if name not in where]
        if missing:
            more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
            given = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
            raise MessageError(f"{what}: missing joint(s) {', '.join(missing[:4])}{more}; it has: {given or 'none'}")
        return np.array([where[name] for name in self.names], np.intp)
