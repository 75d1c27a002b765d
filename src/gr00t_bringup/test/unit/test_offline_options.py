# SPDX-License-Identifier: Apache-2.0
"""Options of the evaluations without a simulator that cannot be are refused before a checkpoint is loaded."""

import math
from pathlib import Path

import pytest

from gr00t_bringup.bag_eval import BagEvalConfig
from gr00t_bringup.open_loop import OpenLoopConfig
from gr00t_policy.core.errors import ConfigError


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"stride": 0}, "0, 0.0, 0"),
        ({"noise_scale": -0.5}, "4, -0.5, 0"),
        ({"noise_scale": math.nan}, "4, nan, 0"),
        ({"seed": -1}, "seed not below 0: 4, 0.0, -1"),
        ({"engine": "abacus"}, "engine 'abacus' is unknown"),
    ],
)
def test_a_comparison_with_a_dataset(wrong, said):
    with pytest.raises(ConfigError, match=said):
        OpenLoopConfig(Path("data"), **wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"bag": ()}, "at least one bag"),
        ({"noise_scale": math.nan}, "noise_scale must be from 0 to 1, got nan"),
        ({"seed": -1}, "seed must not be negative, got -1"),
        ({"probes": 1}, "probes must be at least 2, got 1"),
    ],
)
def test_a_judgement_of_bags(wrong, said):
    with pytest.raises(ConfigError, match=said):
        BagEvalConfig(**{"bag": (Path("bag"),), **wrong})
