# SPDX-License-Identifier: Apache-2.0
"""Two success rates on the same scenes: exact McNemar test, and an interval of the difference of paired proportions."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import comb, sqrt

from gr00t_sim.interval import wilson95


@dataclass(frozen=True)
class Pairs:
    """How often, on the same scene: both succeeded, only A, only B, neither."""

    both: int
    only_a: int
    only_b: int
    neither: int

    @property
    def scenes(self) -> int:
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def rate_a(self) -> float:
        return (self.both + self.only_a) / self.scenes

    @property
    def rate_b(self) -> float:
        return (self.both + self.only_b) / self.scenes

    @property
    def difference(self) -> float:
        """Rate of B less that of A."""
        return (self.only_b - self.only_a) / self.scenes


def count_pairs(ends: Iterable[tuple[bool, bool]]) -> Pairs:
    """From (A succeeded, B succeeded) of every scene."""
    counts = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
    for end in ends:
        counts[end] += 1
    return Pairs(*counts.values())


def mcnemar_p(pairs: Pairs) -> float:
    """Two-sided exact p of 'both are equally good': the binomial test on the scenes where they differ.

    McNemar, Psychometrika 12 (1947), with the exact binomial distribution instead of its normal approximation.
    """
    differ, fewer = pairs.only_a + pairs.only_b, min(pairs.only_a, pairs.only_b)
    return min(1.0, 2 * sum(comb(differ, count) for count in range(fewer + 1)) / 2**differ)


def difference95(pairs: Pairs) -> tuple[float, float]:
    """95 % interval of ``pairs.difference``, within -1 to 1; sensible for few scenes and for rates of 0 and 1.

    Method 10 of Newcombe, "Improved confidence intervals for the difference between binomial proportions based on paired
    data", Statistics in Medicine 17 (1998) 2635-2650: Wilson intervals of both rates, joined by their correlation.
    """
    total = pairs.scenes
    a, b, difference = pairs.rate_a, pairs.rate_b, pairs.difference
    low_a, high_a = wilson95(pairs.both + pairs.only_a, total)
    low_b, high_b = wilson95(pairs.both + pairs.only_b, total)
    phi = _correlation(pairs)
    below = (b - low_b) ** 2 - 2 * phi * (b - low_b) * (high_a - a) + (high_a - a) ** 2
    above = (high_b - b) ** 2 - 2 * phi * (high_b - b) * (a - low_a) + (a - low_a) ** 2
    return max(-1.0, difference - sqrt(max(0.0, below))), min(1.0, difference + sqrt(max(0.0, above)))


def _correlation(pairs: Pairs) -> float:
    """Of both ends over the scenes, a positive one corrected for continuity as in method 10; 0 where one never varies."""
    solved_a, solved_b = pairs.both + pairs.only_a, pairs.both + pairs.only_b
    product = solved_a * (pairs.scenes - solved_a) * solved_b * (pairs.scenes - solved_b)
    if product == 0:
        return 0.0
    cross = pairs.both * pairs.neither - pairs.only_a * pairs.only_b
    corrected = max(cross - pairs.scenes / 2, 0.0) if cross > 0 else cross
    return float(corrected / sqrt(product))
