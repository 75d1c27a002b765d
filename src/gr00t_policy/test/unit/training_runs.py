# SPDX-License-Identifier: Apache-2.0
"""What two runs of a training have in common: their logs line by line, and weights measured by how far they moved."""

import json
from pathlib import Path

import pytest
import torch

from gr00t_policy.model.checkpoint import load_checkpoint

Weights = dict[str, torch.Tensor]


def curve(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "log.jsonl").open()]


def weights(checkpoint: Path) -> Weights:
    return load_checkpoint(checkpoint).load_weights().state_dict()


def assert_same_curve(one: Path, other: Path, steps: int, *, rel: float = 1e-4) -> None:
    """A line for each step, once; the same losses in each but for the order of sums, and the same gradients."""
    lines = curve(one), curve(other)
    for log in lines:
        assert [line["step"] for line in log] == list(range(1, steps + 1))
    for a, b in zip(*lines, strict=True):
        assert b["flow"] == pytest.approx(a["flow"], rel=rel), a["step"]
        assert b["gradient"] == pytest.approx(a["gradient"], rel=10 * rel), a["step"]
    assert len({line["flow"] for line in lines[0]}) == steps, "a curve that says something"


def apart(one: Weights, other: Weights, start: Weights) -> float:
    """How far two runs ended from each other, as a share of how far the first moved: root of the sums of squares."""
    moved = sum(float((one[name].double() - start[name].double()).square().sum()) for name in one)
    between = sum(float((one[name].double() - other[name].double()).square().sum()) for name in one)
    assert moved > 0, "the run learnt nothing"
    return (between / moved) ** 0.5
