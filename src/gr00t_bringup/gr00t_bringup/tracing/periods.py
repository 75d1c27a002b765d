# SPDX-License-Identifier: Apache-2.0
"""How regularly a stream comes: rate, period against its nominal one, misses, pauses, numbers that were lost."""

from dataclasses import dataclass

from gr00t_bringup.tracing.distribution import Distribution, Figures

MISS_PERIODS = 1.5
_PAUSES_KEPT = 1000


@dataclass(frozen=True)
class Pause:
    """Nothing came from ``at_s`` on, for ``length_s``; seconds since the begin of the recording."""

    at_s: float
    length_s: float


@dataclass(frozen=True)
class StreamFigures:
    """rate_hz: without the pauses. misses: gaps of more than 1.5 nominal periods, missed_periods: what should have come in
    them; None where no nominal rate is known. lost: sender's numbers that are not in the bag; None where it has none.
    """

    count: int
    rate_hz: float
    nominal_hz: float | None
    period_ms: Figures
    misses: int | None
    missed_periods: int | None
    pauses: tuple[Pause, ...]
    clock_set_back: int
    lost: int | None


class StreamMeter:
    """Fed with one stream's messages in order. nominal_hz: 0 = not known. pause_s: a longer gap is no jitter but a pause.

    Where most gaps are longer, as with a network that is slow, they are the stream's periods and no pauses.
    """

    def __init__(self, nominal_hz: float, pause_s: float) -> None:
        self._short_ms, self._long_ms = Distribution(), Distribution()
        self.count = 0
        self._nominal_hz, self._pause_ms = nominal_hz, 1e3 * pause_s
        self._short, self._long = _Misses(nominal_hz), _Misses(nominal_hz)
        self._set_back = 0
        self._pauses: list[Pause] = []
        self._last_ns = self._begin_ns = 0
        self._numbers = _Numbers()

    def add(self, at_ns: int, number: int, begin_ns: int) -> None:
        """at_ns: when it was sent; number: the sender's, 0 = none; begin_ns: of the recording."""
        self.count += 1
        self._numbers.add(number)
        last_ns, self._last_ns, self._begin_ns = self._last_ns, at_ns, begin_ns
        if self.count == 1:
            return
        period_ms = (at_ns - last_ns) / 1e6
        if period_ms < 0:
            self._set_back += 1
        elif period_ms > self._pause_ms:
            self._long_ms.add(period_ms, at_ns)
            self._long.add(period_ms)
            if len(self._pauses) < _PAUSES_KEPT:
                self._pauses.append(Pause((last_ns - begin_ns) / 1e9, period_ms / 1e3))
        else:
            self._short_ms.add(period_ms, at_ns)
            self._short.add(period_ms)

    @property
    def periods_ms(self) -> Distribution:
        """Times between two messages, without the pauses."""
        return self._long_ms if self._is_slow else self._short_ms

    @property
    def _is_slow(self) -> bool:
        return self._long_ms.count > self._short_ms.count

    def figures(self) -> StreamFigures:
        period_ms = self.periods_ms.figures()
        misses = self._long if self._is_slow else self._short
        known = self._nominal_hz > 0
        return StreamFigures(
            count=self.count,
            rate_hz=1e3 / period_ms.mean if period_ms.count and period_ms.mean > 0 else float("nan"),
            nominal_hz=self._nominal_hz if known else None,
            period_ms=period_ms,
            misses=misses.gaps if known else None,
            missed_periods=misses.periods if known else None,
            pauses=() if self._is_slow else tuple(self._pauses),
            clock_set_back=self._set_back,
            lost=self._numbers.lost,
        )


class _Misses:
    """Gaps of more than 1.5 nominal periods, and what should have come in them."""

    def __init__(self, nominal_hz: float) -> None:
        self.gaps = self.periods = 0
        self._nominal_hz = nominal_hz

    def add(self, period_ms: float) -> None:
        periods = period_ms * self._nominal_hz / 1e3
        if periods > MISS_PERIODS:
            self.gaps += 1
            self.periods += round(periods) - 1


class _Numbers:
    """Counts the numbers missing in 1, 2, 3, ... of one sender; one that starts again begins anew."""

    def __init__(self) -> None:
        self._lost: int | None = None
        self._newest = self._falls = self._count = 0

    @property
    def lost(self) -> int | None:
        """None without numbers, or when they are of several senders at once and jump to and fro."""
        return None if self._falls > 1 + self._count // 100 else self._lost

    def add(self, number: int) -> None:
        if number <= 0:
            return
        self._count += 1
        if self._newest == 0 or number <= self._newest:
            self._falls += self._newest > 0
            self._lost = self._lost or 0
        else:
            assert self._lost is not None
            self._lost += number - self._newest - 1
        self._newest = number
