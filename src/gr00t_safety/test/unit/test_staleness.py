# SPDX-License-Identifier: Apache-2.0
"""Ages come from arrivals alone, and a stream counts as steady only while it has no gap."""

import pytest

from gr00t_policy.core.errors import ConfigError
from gr00t_safety.staleness import AgeLimits, Freshness, StreamAge

MS = 1_000_000
LIMITS = AgeLimits(0.025, 0.05, 0.1)


def test_a_stream_that_never_came_is_lost_and_infinitely_old():
    age = StreamAge(LIMITS)
    assert not age.ever and age.age_s(0) == float("inf") and age.freshness(0) is Freshness.LOST


@pytest.mark.parametrize(
    ("age_ms", "expected"),
    [
        (0, Freshness.FRESH),
        (24, Freshness.FRESH),
        (25, Freshness.LATE),
        (49, Freshness.LATE),
        (50, Freshness.STALE),
        (99, Freshness.STALE),
        (100, Freshness.LOST),
        (10_000, Freshness.LOST),
    ],
)
def test_age_limits_start_at_their_own_value(age_ms, expected):
    age = StreamAge(LIMITS)
    age.arrived(0)
    assert age.freshness(age_ms * MS) is expected


def test_a_gap_starts_the_steady_time_again():
    age = StreamAge(LIMITS)
    for ms in range(0, 300, 10):
        age.arrived(ms * MS)
    assert age.steady_s(290 * MS) == pytest.approx(0.29)
    assert age.steady_s(350 * MS) == 0.0
    age.arrived(350 * MS)
    assert age.steady_s(360 * MS) == pytest.approx(0.01)


def test_forgetting_makes_it_as_new():
    age = StreamAge(LIMITS)
    age.arrived(0)
    age.forget()
    assert not age.ever and age.steady_s(1 * MS) == 0.0


@pytest.mark.parametrize("ages", [(0.05, 0.025, 0.1), (0.0, 0.05, 0.1), (0.025, 0.2, 0.1), (float("nan"), 0.05, 0.1)])
def test_limits_that_do_not_rise_are_refused(ages):
    with pytest.raises(ConfigError, match="rise"):
        AgeLimits(*ages)
