# SPDX-License-Identifier: Apache-2.0
"""Rows that are not as far apart as the dataset says are not learnt from; the jitter of clocks and of float32 is no fault."""

from pathlib import Path

import numpy as np
import pytest

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.row_times import require_regular_times

FPS = 20.0
EVEN_S = np.arange(400) / FPS


def without(row: int) -> np.ndarray:
    return np.delete(np.arange(401), row) / FPS


@pytest.mark.parametrize(
    "times_s",
    [
        EVEN_S[:1],
        EVEN_S[:2] + 100.0,
        EVEN_S + np.random.default_rng(0).uniform(-0.01, 0.01, 400),
        (np.arange(144_000) / FPS).astype(np.float32).astype(np.float64),
        EVEN_S * 30 / 29.97,
    ],
    ids=["one row", "begins later", "jitters by 10 ms", "two hours in float32", "a camera's clock"],
)
def test_times_of_real_recorders_pass(times_s):
    require_regular_times(Path("episode.parquet"), times_s, FPS)


@pytest.mark.parametrize(
    ("times_s", "found"),
    [
        (EVEN_S * 2, "row 1 is 0.1000 s after the one before"),
        (without(200), "row 200 is 0.1000 s after the one before"),
        (np.sort(np.append(EVEN_S, 1.0)), "row 21 is 0.0000 s after the one before"),
        (EVEN_S * 20 / 25, "rows are 0.0400 s apart"),
        (np.where(np.arange(400) == 7, np.nan, EVEN_S), "row 7 is nan s after the one before"),
    ],
    ids=["half the rate", "a lost row", "a doubled row", "another rate", "no number"],
)
def test_rows_of_another_rate_or_with_a_gap_are_refused(times_s, found):
    with pytest.raises(DatasetError) as refused:
        require_regular_times(Path("episode.parquet"), times_s, FPS)
    said = str(refused.value)
    assert said.startswith(
        f"episode.parquet: {found}, timestamps must be 0.0500 s apart as fps 20 in info.json demands"
    )
    assert "gr00t data check" in said
