# SPDX-License-Identifier: Apache-2.0
"""The whole network: one loss for both systems, encoding once per image, language that reaches the action."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from gr00t_policy.model.config import ModelConfig, preset
from gr00t_policy.model.vla import Vla, build_vla

torch.set_num_threads(1)


def small(**change: object) -> ModelConfig:
    config = preset("tiny")
    return replace(
        config,
        vision=replace(config.vision, layers=1, image_size=112, patch=14),
        head=replace(config.head, layers=2, zero_init=False),
        select_layer=2,
        instruction_tokens=24,
        **change,
    )


@cache
def network() -> Vla:
    return build_vla(small(), seed=0).eval()


def batch(images: int = 2, samples: int = 3, seed: int = 0) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    rows = images * samples
    text = torch.randint(4, 512, (images, 24), generator=g)
    text[:, 6:] = 0
    prompt = torch.tensor([[1] + [3] * 16 + [2]]).repeat(images, 1)
    mask = torch.tensor([[1] * 6 + [0] * 18 + [1] * 18]).repeat(images, 1)
    action_mask = torch.zeros(rows, 16, 32)
    action_mask[..., :29] = 1
    return {
        "pixel_values": torch.randn(images, 1, 3, 112, 112, generator=g),
        "input_ids": torch.cat([text, prompt], dim=1),
        "attention_mask": mask,
        "state": torch.randn(rows, 1, 64, generator=g),
        "embodiment_id": torch.zeros(rows, dtype=torch.long),
        "action": torch.randn(rows, 16, 32, generator=g),
        "action_mask": action_mask,
        "noise": torch.randn(rows, 16, 32, generator=g),
        "t": torch.rand(rows, generator=g),
        "aux_target": torch.rand(images, 4, generator=g) - 0.5,
        "aux_mask": torch.ones(images, 4),
    }


IMAGE_KEYS = ("pixel_values", "input_ids", "attention_mask", "aux_target", "aux_mask")


@torch.no_grad()
def test_samples_that_share_an_image_have_the_same_loss_as_with_copies_of_it() -> None:
    given = batch()
    copied = {key: value.repeat_interleave(3, 0) if key in IMAGE_KEYS else value for key, value in given.items()}
    shared, apart = network().loss(given), network().loss(copied)
    assert torch.allclose(shared["loss_flow_per_sample"], apart["loss_flow_per_sample"], atol=1e-5)
    assert torch.allclose(shared["loss_aux"], apart["loss_aux"], atol=1e-5)


@torch.no_grad()
def test_an_index_of_images_may_be_in_any_order() -> None:
    given = batch()
    order = torch.tensor([4, 0, 3, 2, 5, 1])
    mixed = {key: value if key in IMAGE_KEYS else value[order] for key, value in given.items()}
    mixed["sample_to_image"] = order // 3
    expected = network().loss(given)["loss_flow_per_sample"][order]
    assert torch.allclose(network().loss(mixed)["loss_flow_per_sample"], expected, atol=1e-5)


@torch.no_grad()
def test_rows_of_different_embodiments_use_their_own_weights() -> None:
    given = batch()
    ids = torch.tensor([0, 1, 0, 1, 1, 0])
    mixed = network().loss(given | {"embodiment_id": ids})["loss_flow_per_sample"]
    for slot in (0, 1):
        alone = network().loss(given | {"embodiment_id": torch.full((6,), slot)})["loss_flow_per_sample"]
        assert torch.allclose(mixed[ids == slot], alone[ids == slot], atol=1e-5)
    assert not torch.allclose(mixed, network().loss(given)["loss_flow_per_sample"], atol=1e-4)


def test_both_losses_train_every_weight_that_this_embodiment_uses() -> None:
    model = build_vla(small(), seed=0)
    loss = model.loss(batch())
    (loss["loss_flow"] + loss["loss_aux"]).backward()
    dead = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A constant added to all keys shifts every score alike: the softmax is blind to it, so rounding alone decides.
    assert [name for name in dead if not name.endswith(("k_proj.bias", "key.bias"))] == []
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_the_flow_loss_alone_trains_the_vision_tower() -> None:
    model = build_vla(small(), seed=0)
    model.loss(batch())["loss_flow"].backward()
    gradient = model.backbone.vision.embeddings.patch_embedding.weight.grad
    assert gradient is not None and gradient.abs().sum() > 0


@torch.no_grad()
def test_padded_action_dimensions_do_not_count() -> None:
    given = batch()
    spoiled = given["action"].clone()
    spoiled[..., 29:] = 1e3
    loss = network().loss(given | {"action_mask": given["action_mask"]})
    other = network().loss(given | {"action": spoiled, "t": torch.zeros(6)})
    same = network().loss(given | {"t": torch.zeros(6)})
    assert torch.allclose(other["loss_flow"], same["loss_flow"], atol=1e-5)
    assert torch.allclose(loss["loss_flow"], loss["loss_flow_per_sample"].mean(), atol=1e-6)


@torch.no_grad()
def test_without_targets_the_auxiliary_loss_is_zero() -> None:
    given = {key: value for key, value in batch().items() if not key.startswith("aux")}
    assert network().loss(given)["loss_aux"] == 0
    bare = build_vla(small(aux_targets=0), seed=0)
    assert bare.aux is None and bare.loss(batch())["loss_aux"] == 0


@torch.no_grad()
def test_another_sentence_or_image_gives_other_actions_and_the_same_input_the_same() -> None:
    given = batch(images=1, samples=1)
    inputs = [given[key] for key in ("pixel_values", "input_ids", "attention_mask")]

    def act(pixels: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        features = network().encode(pixels, ids, mask)
        return network().act(features, mask, given["state"], given["embodiment_id"], given["noise"])

    actions = act(*inputs)
    other = inputs[1].clone()
    other[0, 3] += 1
    assert actions.shape == (1, 16, 32)
    assert torch.equal(actions, act(*inputs))
    assert (actions - act(inputs[0], other, inputs[2])).abs().max() > 1e-6
    assert (actions - act(inputs[0].flip(-1), *inputs[1:])).abs().max() > 1e-6


@torch.no_grad()
def test_located_points_lie_in_or_near_the_image() -> None:
    given = batch(images=3)
    features = network().encode(given["pixel_values"], given["input_ids"], given["attention_mask"])
    points = network().locate(features, given["input_ids"])
    assert points.shape == (3, 2, 2) and points.abs().max() < 1.5


def test_the_same_seed_gives_the_same_network_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second, other = (build_vla(small(), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    for (name, a), b in zip(first.named_parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b), name
    assert not torch.equal(first.backbone.linear.weight, other.backbone.linear.weight)


def test_tiny_has_between_five_and_thirty_million_parameters() -> None:
    with torch.device("meta"):
        model = Vla(preset("tiny"))
    assert 5e6 <= sum(p.numel() for p in model.parameters()) < 30e6


@pytest.mark.parametrize("attend_padding", [True, False])
@torch.no_grad()
def test_the_width_of_the_instruction_window_matters_only_when_padding_is_attended(attend_padding: bool) -> None:
    """Longer padding in front shifts positions, so only the head is compared: on the same features, cut or not."""
    config = small()
    model = build_vla(replace(config, head=replace(config.head, attend_padding=attend_padding)), seed=0).eval()
    given = batch(images=1, samples=1)
    features = model.encode(given["pixel_values"], given["input_ids"], given["attention_mask"])
    real = given["attention_mask"][0].bool()
    rest = given["state"], given["embodiment_id"], given["noise"]
    whole = model.act(features, given["attention_mask"], *rest)
    cut = model.act(features[:, real], given["attention_mask"][:, real], *rest)
    assert torch.allclose(whole, cut, atol=1e-5) is not attend_padding
