# SPDX-License-Identifier: Apache-2.0
"""The action head: constant work handed in changes nothing, rows do not meet, a fresh head learns."""

from dataclasses import replace

import torch

from gr00t_policy.model.action_head import ActionHead
from gr00t_policy.model.config import HeadConfig, preset

torch.set_num_threads(1)
SMALL = HeadConfig(
    width=32,
    hidden=24,
    layers=4,
    heads=4,
    head_dim=8,
    state_dim=10,
    action_dim=6,
    horizon=5,
    embodiments=3,
    cross_dim=20,
)


def small_case(rows: int = 4, images: int = 4) -> tuple[ActionHead, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    head = ActionHead(SMALL).eval()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    mask = torch.ones(images, 7, dtype=torch.long)
    mask[0, :3] = 0
    given = {
        "features": torch.randn(images, 7, 20),
        "mask": mask,
        "state": torch.randn(rows, 1, 10),
        "embodiment_id": torch.tensor([0, 2, 1, 2])[:rows],
        "noise": torch.randn(rows, 5, 6),
    }
    return head, given


@torch.no_grad()
def test_sampling_with_precomputed_work_gives_the_same_actions() -> None:
    head, given = small_case()
    context = head.precompute_context(given["features"], given["mask"])
    tables = head.time_tables(given["embodiment_id"], steps=4)
    fast = head.sample_with_context(context, given["state"], given["embodiment_id"], given["noise"], tables)
    assert torch.allclose(fast, head.sample(**given, steps=4), atol=1e-6)


@torch.no_grad()
def test_precomputed_work_may_be_used_again_for_another_state_and_noise() -> None:
    head, given = small_case()
    context, tables = (
        head.precompute_context(given["features"], given["mask"]),
        head.time_tables(given["embodiment_id"]),
    )
    for _ in range(2):
        given |= {"state": torch.randn(4, 1, 10), "noise": torch.randn(4, 5, 6)}
        fast = head.sample_with_context(context, given["state"], given["embodiment_id"], given["noise"], tables)
        assert torch.allclose(fast, head.sample(**given), atol=1e-6)


@torch.no_grad()
def test_one_embodiment_id_for_all_rows_equals_an_id_per_row() -> None:
    head, given = small_case()
    same = head.sample(**given | {"embodiment_id": torch.full((4,), 2)})
    assert torch.allclose(head.sample(**given | {"embodiment_id": torch.tensor([2])}), same, atol=1e-6)


@torch.no_grad()
def test_each_row_is_computed_on_its_own() -> None:
    head, given = small_case()
    together = head.sample(**given)
    for row in range(4):
        alone = head.sample(**{key: value[row : row + 1] for key, value in given.items()})
        assert torch.allclose(together[row : row + 1], alone, atol=1e-5)


@torch.no_grad()
def test_the_loss_of_a_batch_is_the_mean_of_its_samples_and_is_zero_for_a_perfect_head() -> None:
    head, given = small_case()
    actions, t = torch.randn(4, 5, 6), torch.tensor([0.0, 0.3, 0.6, 0.9])
    inputs = [given[key] for key in ("features", "mask", "state", "embodiment_id")]
    loss = head.forward_loss(*inputs, actions, torch.ones(4, 5, 6), given["noise"], t)
    assert torch.allclose(loss.mean, loss.per_sample.mean())
    for parameter in head.action_decoder.parameters():
        torch.nn.init.zeros_(parameter)
    assert head.forward_loss(*inputs, given["noise"], torch.ones(4, 5, 6), given["noise"], t).mean == 0


def test_a_freshly_built_tiny_head_predicts_zero_velocity_and_still_learns() -> None:
    config = replace(preset("tiny").head, layers=2, zero_init=True, fan_in_init=True)
    torch.manual_seed(0)
    head = ActionHead(config)
    features, mask = torch.randn(2, 9, config.cross_dim), torch.ones(2, 9)
    state, noise = torch.randn(2, 1, config.state_dim), torch.randn(2, 16, config.action_dim)
    ids, actions = torch.tensor([0]), torch.randn(2, 16, config.action_dim)
    assert torch.equal(head.sample(features, mask, state, ids, noise), noise)
    optimizer = torch.optim.Adam(head.parameters(), 1e-3)
    losses = []
    for _ in range(15):
        loss = head.forward_loss(
            features, mask, state, ids, actions, torch.ones_like(actions), noise, torch.full((2,), 0.5)
        )
        optimizer.zero_grad()
        loss.mean.backward()
        optimizer.step()
        losses.append(loss.mean.item())
    assert losses[-1] < 0.6 * losses[0], losses
    untouched = [name for name, p in head.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert untouched == []
