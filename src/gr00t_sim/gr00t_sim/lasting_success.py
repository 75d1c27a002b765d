# SPDX-License-Identifier: Apache-2.0
"""When an episode counts as solved: the referee must say so for half a second on end, of a policy as of an expert.

A thing that is at rest for one look may still roll out of its place.
"""

SUCCESS_LASTS_S = 0.5


class LastingSuccess:
    """Told what the referee says every ``period_s``. began: the look from which on it has said success, None: it says none."""

    def __init__(self, period_s: float) -> None:
        self.began: int | None = None
        self._looks = round(SUCCESS_LASTS_S / period_s)

    def see(self, look: int, success: bool) -> bool:
        """Whether success has lasted by look number ``look``."""
        if not success:
            self.began = None
        elif self.began is None:
            self.began = look
        return self.began is not None and look - self.began >= self._looks
