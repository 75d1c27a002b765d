# SPDX-License-Identifier: Apache-2.0
"""How many durations were about so long, since the begin: percentiles of a whole run, of any length, in fixed memory.

Counts of two instants may be subtracted, those of two runs added. Bins are as in an HDR histogram: 16 to each power of two, so
that a duration is known to 6 % at worst and to 3 % on average, and that a value is filed by shifts alone.
"""

from array import array
from collections.abc import Mapping

_BITS = 4  # 2 ** _BITS bins to each power of two
_LONGEST_BITS = 40  # 2**40 ns: 18 minutes; what is longer is filed there
_BINS = (_LONGEST_BITS - _BITS + 1) << _BITS

Counts = Mapping[int, int]  # bin -> how many; a bin without any may be left out


class DurationCounts:
    """One writer thread, which allocates nothing; readers may run beside it."""

    def __init__(self) -> None:
        self._counts = array("Q", bytes(8 * _BINS))

    def add(self, duration_ns: int) -> None:
        """Below 0 counts as 0."""
        self._counts[bin_of(duration_ns)] += 1

    def counts(self) -> dict[int, int]:
        """A copy, of the bins that hold something."""
        return {index: count for index, count in enumerate(self._counts) if count}


def bin_of(duration_ns: int) -> int:
    """The bin that a duration is filed in."""
    if duration_ns <= 0:
        return 0
    shift = max(duration_ns.bit_length() - _BITS - 1, 0)
    return min((shift << _BITS) + (duration_ns >> shift), _BINS - 1)


def edge_ns(index: int) -> int:
    """The shortest duration of a bin; of the bin after it: the first that is longer."""
    shift = max((index >> _BITS) - 1, 0)
    return (index - (shift << _BITS)) << shift


def percentile_ns(counts: Counts, percent: float) -> float:
    """The duration that ``percent`` of those counted do not exceed, to the width of a bin; NaN without any."""
    total = sum(counts.values())
    wanted, below = total * percent / 100, 0
    for index in sorted(counts):
        count = counts[index]
        if count and below + count >= wanted:
            low, high = edge_ns(index), edge_ns(index + 1)
            return low + (high - low) * max(wanted - below, 0.0) / count
        below += count
    return float("nan")


def counted_since(before: Counts, after: Counts) -> dict[int, int]:
    """What was added between two copies of one loop's counts; all of ``after`` when the loop began anew in between."""
    if any(count > after.get(index, 0) for index, count in before.items()):
        return dict(after)
    return {index: left for index, count in after.items() if (left := count - before.get(index, 0))}


def counts_to_text(counts: Counts) -> str:
    """For a message: ``bin:count`` with spaces between."""
    return " ".join(f"{index}:{count}" for index, count in sorted(counts.items()))


def counts_from_text(text: str) -> dict[int, int]:
    """Raises ValueError when the text is not of ``counts_to_text``."""
    pairs = (pair.split(":") for pair in text.split())
    return {int(index): int(count) for index, count in pairs}
