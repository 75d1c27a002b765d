# SPDX-License-Identifier: Apache-2.0
"""Laws of the diffusion transformer: what sees what, and what time modulation does."""

from dataclasses import replace

import pytest
import torch

from gr00t_policy.model.config import HeadConfig
from gr00t_policy.model.dit import DiT, padding_bias

torch.set_num_threads(1)
CONFIG = HeadConfig(
    width=32,
    hidden=24,
    layers=4,
    heads=4,
    head_dim=8,
    state_dim=10,
    action_dim=6,
    horizon=5,
    embodiments=2,
    cross_dim=20,
)


def case(config: HeadConfig = CONFIG, batch: int = 2) -> tuple[DiT, torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    dit = DiT(config).eval()
    for parameter in dit.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    mask = torch.ones(batch, 7, dtype=torch.long)
    mask[:, 4:] = 0
    return dit, torch.randn(batch, 6, 32), torch.randn(batch, 7, 20), mask


def run(dit: DiT, tokens: torch.Tensor, features: torch.Tensor, mask: torch.Tensor, bucket: int = 250) -> torch.Tensor:
    with torch.no_grad():
        return dit(tokens, dit.modulation(torch.full((tokens.shape[0],), bucket)), dit.context(features, mask))


def test_padded_features_change_nothing_when_the_mask_is_honoured() -> None:
    dit, tokens, features, mask = case()
    spoiled = torch.where(mask[..., None].bool(), features, torch.full_like(features, 50.0))
    assert torch.allclose(run(dit, tokens, features, mask), run(dit, tokens, spoiled, mask), atol=1e-6)


def test_padded_features_are_seen_when_the_published_behaviour_is_asked_for() -> None:
    dit, tokens, features, mask = case(replace(CONFIG, attend_padding=True))
    spoiled = torch.where(mask[..., None].bool(), features, torch.full_like(features, 5.0))
    assert not torch.allclose(run(dit, tokens, features, mask), run(dit, tokens, spoiled, mask), atol=1e-3)


def test_masking_equals_cutting_the_padding_off() -> None:
    dit, tokens, features, mask = case()
    assert torch.allclose(run(dit, tokens, features, mask), run(dit, tokens, features[:, :4], mask[:, :4]), atol=1e-6)


def test_the_order_of_features_does_not_matter() -> None:
    dit, tokens, features, mask = case()
    order = torch.tensor([2, 0, 3, 1, 6, 5, 4])
    assert torch.allclose(
        run(dit, tokens, features, mask), run(dit, tokens, features[:, order], mask[:, order]), atol=1e-5
    )


def test_permuting_tokens_permutes_the_output() -> None:
    dit, tokens, features, mask = case()
    order = torch.tensor([5, 3, 0, 1, 2, 4])
    assert torch.allclose(
        run(dit, tokens, features, mask)[:, order], run(dit, tokens[:, order], features, mask), atol=1e-5
    )


def test_samples_sharing_features_give_the_same_as_repeated_features() -> None:
    dit, _, features, mask = case()
    tokens, buckets = torch.randn(6, 6, 32), torch.tensor([0, 100, 250, 500, 750, 999])
    with torch.no_grad():
        shared = dit(tokens, dit.modulation(buckets), dit.context(features, mask))
        repeated = dit.context(features.repeat_interleave(3, dim=0), mask.repeat_interleave(3, dim=0))
        assert torch.allclose(shared, dit(tokens, dit.modulation(buckets), repeated), atol=1e-6)


def test_time_changes_the_output() -> None:
    dit, tokens, features, mask = case()
    assert not torch.allclose(run(dit, tokens, features, mask, 0), run(dit, tokens, features, mask, 750), atol=1e-3)


def test_zero_initialised_modulation_makes_time_without_effect_at_the_start() -> None:
    torch.manual_seed(0)
    dit = DiT(replace(CONFIG, zero_init=True)).eval()
    _, tokens, features, mask = case()
    assert torch.equal(run(dit, tokens, features, mask, 0), run(dit, tokens, features, mask, 750))


def test_dropout_acts_in_training_and_not_in_evaluation() -> None:
    dit, tokens, features, mask = case(replace(CONFIG, dropout=0.5))
    assert torch.equal(run(dit, tokens, features, mask), run(dit, tokens, features, mask))
    dit.train()
    assert not torch.equal(run(dit, tokens, features, mask), run(dit, tokens, features, mask))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_fully_masked_row_stays_finite(dtype: torch.dtype) -> None:
    dit, tokens, features, mask = case()
    dit.to(dtype)
    result = run(dit, tokens.to(dtype), features.to(dtype), torch.zeros_like(mask))
    assert torch.isfinite(result).all()
    assert torch.isfinite(padding_bias(mask, dtype)).all()
