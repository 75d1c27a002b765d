# SPDX-License-Identifier: Apache-2.0
"""Durations counted in bins: percentiles to the width of a bin, sums and differences of runs, nothing that grows."""

import tracemalloc

import numpy as np
import pytest

from gr00t_policy.runtime.duration_counts import (
    DurationCounts,
    bin_of,
    counted_since,
    counts_from_text,
    counts_to_text,
    edge_ns,
    percentile_ns,
)


def counted(durations_ns: np.ndarray) -> DurationCounts:
    counts = DurationCounts()
    for duration_ns in durations_ns:
        counts.add(int(duration_ns))
    return counts


def test_every_duration_lies_between_the_edges_of_its_bin_which_is_narrow():
    for duration_ns in [*range(300), *np.random.default_rng(0).integers(0, 2**39, 3000).tolist()]:
        low, high = edge_ns(bin_of(duration_ns)), edge_ns(bin_of(duration_ns) + 1)
        assert low <= duration_ns < high
        assert high - low <= max(1, duration_ns / 16)


def test_percentiles_are_those_of_the_values_to_six_percent():
    durations_ns = np.random.default_rng(1).lognormal(np.log(60_000), 1.0, 20_000)
    for percent in (50, 95, 99, 99.9):
        found = percentile_ns(counted(durations_ns).counts(), percent)
        assert found == pytest.approx(np.percentile(durations_ns, percent), rel=1 / 16)
    assert np.isnan(percentile_ns({}, 99))


def test_the_percentile_of_a_whole_run_is_not_that_of_its_median_window():
    """Nine quiet windows and one with two percent of late ticks in it: a median of ten p99s sees nothing of it."""
    quiet, late = np.full(1180, 50_000), np.full(240, 900_000)
    windows = [quiet] * 9 + [np.concatenate([quiet, late])]
    assert np.median([np.percentile(window, 99) for window in windows]) == 50_000
    assert percentile_ns(counted(np.concatenate(windows)).counts(), 99) > 800_000


def test_what_was_counted_between_two_instants_is_the_difference_and_a_new_start_counts_from_nothing():
    counts = counted(np.full(100, 1_000))
    before = counts.counts()
    for _ in range(7):
        counts.add(2_000_000)
    assert counted_since(before, counts.counts()) == {bin_of(2_000_000): 7}
    assert counted_since(counts.counts(), before) == before


def test_counts_survive_a_message():
    counts = counted(np.random.default_rng(2).integers(0, 10**7, 500)).counts()
    assert counts_from_text(counts_to_text(counts)) == counts
    assert counts_from_text("") == {}


def test_the_shortest_and_the_longest_are_filed_too():
    counts = counted(np.array([-5, 0, 2**62]))
    assert sum(counts.counts().values()) == 3 and bin_of(-5) == 0


def test_adding_keeps_no_memory():
    counts = DurationCounts()
    tracemalloc.start()
    try:
        counts.add(10**6)
        before = tracemalloc.get_traced_memory()[0]
        for duration_ns in range(0, 10**8, 10**4):
            counts.add(duration_ns)
        assert tracemalloc.get_traced_memory()[0] - before < 500
    finally:
        tracemalloc.stop()
