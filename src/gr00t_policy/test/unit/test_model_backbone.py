# SPDX-License-Identifier: Apache-2.0
"""The backbone: images find their places, and who sees whom is as the configuration says."""

import math
from dataclasses import replace

import pytest
import torch

from gr00t_policy.model.backbone import Backbone, attention_bias, image_slots, pixel_shuffle, sinusoid_grid
from gr00t_policy.model.config import ModelConfig, preset, resized

torch.set_num_threads(1)
IMAGE = 3  # id of the image placeholder in the compact prompt


def tiny(**change: object) -> ModelConfig:
    """The tiny backbone with fewer layers, changed fields of the language model given by name."""
    config = preset("tiny")
    language = replace(config.language, **change)
    vision = replace(config.vision, layers=2, image_size=112, patch=14)
    return replace(config, vision=vision, language=language, select_layer=2)


def prompt(rows: int, real: int = 5, views: int = 1, tokens: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """A compact prompt whose instruction window of 8 holds ``real`` words."""
    text = [10 + i for i in range(real)] + [0] * (8 - real)
    ids = torch.tensor([text + ([1] + [IMAGE] * tokens + [2]) * views]).repeat(rows, 1)
    return ids, torch.tensor([[1] * real + [0] * (8 - real) + [1] * (tokens + 2) * views]).repeat(rows, 1)


@torch.no_grad()
def test_eager_attention_gives_the_same_features_as_sdpa() -> None:
    torch.manual_seed(0)
    backbone = Backbone(tiny(bidirectional=False)).eval()
    eager = Backbone(replace(backbone.config, attention="eager")).eval()
    eager.load_state_dict(backbone.state_dict())
    pixels, (ids, mask) = torch.randn(2, 1, 3, 112, 112), prompt(2)
    real = mask.bool()
    assert torch.allclose(backbone(pixels, ids, mask)[real], eager(pixels, ids, mask)[real], atol=1e-5)


def test_pixel_shuffle_joins_squares_of_patches_in_the_published_order() -> None:
    """Follows the published recipe step by step: two views, each followed by a swap of the middle axes."""
    grid, channels = 6, 5
    patches = torch.randn(2, grid * grid, channels)
    x = patches.view(2, grid, grid // 2, channels * 2).permute(0, 2, 1, 3).contiguous()
    x = x.view(2, grid // 2, grid // 2, channels * 4).permute(0, 2, 1, 3).reshape(2, -1, channels * 4)
    assert torch.equal(pixel_shuffle(patches, grid), x)
    assert torch.equal(x[0, 1, :channels], patches[0, 2])  # token (0, 1) starts with the patch at row 0, column 2


def test_image_slots_number_the_placeholders_of_each_row() -> None:
    ids = torch.tensor([[7, 3, 3, 8, 3], [3, 3, 3, 7, 7]])
    is_image, index = image_slots(ids, 3, 3)
    assert is_image.tolist() == [[False, True, True, False, True], [True, True, True, False, False]]
    assert index[is_image].tolist() == [0, 1, 2, 0, 1, 2]


def test_a_causal_bias_hides_the_future_and_padding_and_a_full_one_only_padding() -> None:
    mask = torch.tensor([[0, 1, 1]])
    causal = attention_bias(mask, torch.float32, bidirectional=False) == 0
    full = attention_bias(mask, torch.float32, bidirectional=True) == 0
    assert causal[0, 0].tolist() == [[False, False, False], [False, True, False], [False, True, True]]
    assert full[0, 0].tolist() == [[False, True, True]] * 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_bias_is_finite_in_bfloat16_to_which_autocast_rounds_it(dtype: torch.dtype) -> None:
    bias = attention_bias(torch.tensor([[0, 1]]), dtype, bidirectional=False)
    assert bias.dtype == dtype and torch.isfinite(bias.bfloat16().float() * math.log2(math.e)).all()
    assert (bias.softmax(dim=-1)[0, 0] == torch.tensor([[0.5, 0.5], [0, 1]])).all()


@torch.no_grad()
def test_left_padding_gets_the_same_features_under_autocast() -> None:
    """The published head looks at it. Its row sees nothing real: with an infinite bias it was 0, or NaN."""
    torch.manual_seed(0)
    backbone = Backbone(tiny(bidirectional=False)).eval()
    pixels, (ids, mask) = torch.randn(1, 1, 3, 112, 112), prompt(1)
    ids, mask = (torch.cat([x[:, 5:8], x[:, :5], x[:, 8:]], dim=1) for x in (ids, mask))
    plain = backbone(pixels, ids, mask)
    with torch.autocast("cpu", torch.bfloat16):
        half = backbone(pixels, ids, mask)
    assert not mask[0, :3].any() and mask[0, 3:].all()
    assert (half - plain).abs().max() < 0.05 * plain.abs().max()


@torch.no_grad()
def test_with_full_attention_image_tokens_read_a_sentence_wherever_it_stands() -> None:
    torch.manual_seed(0)
    backbone = Backbone(tiny(bidirectional=True)).eval()
    pixels, (ids, mask) = torch.randn(1, 1, 3, 112, 112), prompt(1)
    other = ids.clone()
    other[0, 4] = 99
    for place in (lambda x: x, lambda x: x.roll(-8, dims=1)):  # sentence first, image first
        difference = backbone(pixels, place(ids), place(mask)) - backbone(pixels, place(other), place(mask))
        assert difference[place(ids) == IMAGE].abs().max() > 1e-4


@torch.no_grad()
def test_with_causal_attention_image_tokens_read_only_a_sentence_that_stands_before_them() -> None:
    torch.manual_seed(0)
    backbone = Backbone(tiny(bidirectional=False)).eval()
    pixels, (ids, mask) = torch.randn(1, 1, 3, 112, 112), prompt(1)
    other = ids.clone()
    other[0, 4] = 99
    before = backbone(pixels, ids, mask) - backbone(pixels, other, mask)
    rolled = [x.roll(-8, dims=1) for x in (ids, other, mask)]
    after = backbone(pixels, rolled[0], rolled[2]) - backbone(pixels, rolled[1], rolled[2])
    assert before[ids == IMAGE].abs().max() > 1e-4
    assert after[rolled[0] == IMAGE].abs().max() == 0


@torch.no_grad()
def test_what_stands_in_padded_places_does_not_reach_real_tokens() -> None:
    torch.manual_seed(0)
    backbone = Backbone(tiny()).eval()
    pixels, (ids, mask) = torch.randn(2, 1, 3, 112, 112), prompt(2)
    other = torch.where(mask.bool(), ids, torch.full_like(ids, 50))
    real = mask.bool()
    assert torch.allclose(backbone(pixels, ids, mask)[real], backbone(pixels, other, mask)[real], atol=1e-6)


@torch.no_grad()
def test_each_row_uses_its_own_images_in_view_order() -> None:
    torch.manual_seed(0)
    backbone = Backbone(tiny()).eval()
    pixels, (ids, mask) = torch.randn(2, 2, 3, 112, 112), prompt(2, views=2)
    together = backbone(pixels, ids, mask)
    for row in range(2):
        alone = backbone(pixels[row : row + 1], ids[row : row + 1], mask[row : row + 1])
        assert torch.allclose(together[row : row + 1], alone, atol=1e-5)
    assert not torch.allclose(together, backbone(pixels.flip(1), ids, mask), atol=1e-3)


@torch.no_grad()
def test_another_image_size_gives_another_number_of_tokens_and_nothing_else() -> None:
    torch.manual_seed(0)
    backbone = Backbone(resized(tiny(), 168)).eval()
    ids, mask = prompt(1, tokens=36)
    width = backbone.config.head.cross_dim
    assert backbone(torch.randn(1, 1, 3, 168, 168), ids, mask).shape == (1, 8 + 38, width)


def test_sinusoid_positions_are_alike_for_neighbours_and_different_for_all() -> None:
    table = sinusoid_grid(8, 192)
    similarity = table @ table.T / 96
    assert torch.allclose(similarity.diagonal(), torch.ones(64), atol=1e-5)
    assert similarity.fill_diagonal_(-1).max() < 0.999
    assert similarity[0, 1] > similarity[0, 5] and similarity[0, 8] > similarity[0, 40]
