# SPDX-License-Identifier: Apache-2.0
"""What of the published network is gathered at a time when it is sharded. That it learns the same: test_training_pretrain."""

import pytest
import torch

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.config import preset
from gr00t_policy.model.vla import Vla
from gr00t_policy.training.objective import Objective
from gr00t_policy.training.sharding import fill, shard, units


@pytest.fixture(scope="module")
def network() -> Vla:
    """GR00T N1 at its published size, without memory for its weights."""
    with torch.device("meta"):
        return Vla(preset("n1_2b"))


def test_every_block_is_a_unit_and_no_unit_is_large(network):
    found = units(network)
    assert len(found) == 27 + 12 + 4 * 16 and len({id(unit) for unit in found}) == len(found)
    total = sum(p.numel() for p in network.parameters())
    inside = {id(p): p.numel() for unit in found for p in unit.parameters()}
    assert max(sum(p.numel() for p in unit.parameters()) for unit in found) < total / 25
    assert sum(inside.values()) > 0.6 * total, "what is left to the last unit is tables of robots and words"
    seen: set[int] = set()
    for unit in found:  # inner units come first, so that each weight belongs to the innermost
        own = {id(p) for p in unit.parameters()}
        assert own - seen, "a unit has weights of its own"
        seen |= own


def test_a_process_alone_has_nothing_to_share_out(network):
    with pytest.raises(ConfigError, match="one process has nothing to share out"):
        shard(Objective(network, mixed_precision=False), "cpu", 1)


def test_tensors_of_other_names_or_shapes_are_not_filled_in():
    target = {"a": torch.zeros(3)}
    with pytest.raises(KeyError, match="'b'"):
        fill(target, {"b": torch.ones(3)})
    with pytest.raises(ValueError, match=r"a is \(2,\), not \(3,\)"):
        fill(target, {"a": torch.ones(2)})
    fill(target, {"a": torch.ones(3)})
    assert target["a"].tolist() == [1, 1, 1]
