# SPDX-License-Identifier: Apache-2.0
"""System 2: images and prompt tokens to conditioning features. The only file that imports transformers.

SigLIP -> pixel shuffle -> connector -> Llama cut at ``select_layer``, with its final norm -> linear to the head's width. In
N1.5 Qwen3 in Llama's place, one linear layer as connector, and neither pixel shuffle nor last linear layer.
Positions count from the left including padding, as in the published model. No data-dependent control flow.
"""

import torch
from torch import Tensor, nn

from gr00t_policy.core.collection import collection_paused
from gr00t_policy.model.config import SHUFFLE, LanguageConfig, ModelConfig, VisionConfig

with collection_paused():
    from transformers import LlamaConfig, LlamaModel, Qwen3Config, Qwen3Model, SiglipVisionConfig, SiglipVisionModel


class Backbone(nn.Module):
    """Features (B, S, D) of a prompt whose <IMG_CONTEXT> tokens are replaced by the images' embeddings, view by view."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        width = config.language.width
        self.vision = _vision_tower(config.vision, config.attention)
        self.connector = _connector(config)
        self.language = _language_model(config.language, config.select_layer, config.attention)
        self.linear = nn.Linear(width, config.head.cross_dim) if config.projected else nn.Identity()
        if config.vision.sinusoid_positions:
            table = self.vision.embeddings.position_embedding.weight
            with torch.no_grad():
                table.copy_(sinusoid_grid(config.vision.grid, config.vision.width) * config.vision.width**-0.5)

    def make_buffers(self, device: torch.device | str) -> None:
        """Make anew what is computed and not stored: of use after the module was built on torch's meta device."""
        positions = torch.arange(self.config.vision.grid**2, device=device)[None]
        self.vision.embeddings.register_buffer("position_ids", positions, persistent=False)
        self.language.rotary_emb = type(self.language.rotary_emb)(self.language.config).to(device)

    def image_embeddings(self, pixel_values: Tensor) -> Tensor:
        """(N, 3, H, W) normalised images -> (N, tokens, language width)."""
        patches = self.vision(pixel_values).last_hidden_state
        vision = self.config.vision
        return self.connector(pixel_shuffle(patches, vision.grid, vision.shuffle))

    def forward(self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """pixel_values (B, V, 3, H, W), input_ids and attention_mask (B, S) -> (B, S, D)."""
        rows = pixel_values.shape[0]
        images = self.image_embeddings(pixel_values.flatten(0, 1))  # (B * V, tokens, width)
        images = images.reshape(rows, -1, images.shape[-1])
        embeddings = self.language.embed_tokens(input_ids)
        is_image, index = image_slots(input_ids, self.config.image_token_id, images.shape[1])
        placed = torch.gather(images, 1, index[..., None].expand(-1, -1, images.shape[-1]))
        embeddings = torch.where(is_image[..., None], placed, embeddings)
        bias = attention_bias(attention_mask, embeddings.dtype, bidirectional=self.config.language.bidirectional)
        hidden = self.language(inputs_embeds=embeddings, attention_mask=bias, use_cache=False).last_hidden_state
        return self.linear(hidden)


def pixel_shuffle(patches: Tensor, grid: int, side: int = SHUFFLE) -> Tensor:
    """(N, grid * grid, C) -> (N, (grid/side)^2, side^2 C): each square of ``side`` x ``side`` patches becomes one token, row
    by row; nothing changes with a side of 1.

    Channels are ordered (row in square, column in square, C): the published 'v2' order.
    """
    if side == 1:
        return patches
    count, _, channels = patches.shape
    half = grid // side
    squares = patches.reshape(count, half, side, half, side, channels).permute(0, 1, 3, 2, 4, 5)
    return squares.reshape(count, half * half, side * side * channels)


def image_slots(input_ids: Tensor, image_token_id: int, tokens: int) -> tuple[Tensor, Tensor]:
    """(B, S) ids -> (is image token (B, S) bool, which image token of its row (B, S) int64, 0 elsewhere)."""
    is_image = input_ids == image_token_id
    index = (is_image.long().cumsum(dim=1) - 1).clamp(0, tokens - 1)
    return is_image, index


def attention_bias(mask: Tensor, dtype: torch.dtype, *, bidirectional: bool) -> Tensor:
    """(B, S) with 1 = real -> (B, 1, S, S) added to attention scores.

    A row of left padding sees nothing real. It attends to all places alike, as in the published model, because the bias is
    finite, also in bfloat16, to which autocast rounds it (the least of float32 would be -inf there: a row of 0, or of NaN), and
    where a kernel multiplies scores by log2(e): a quarter of the least is as good as all of it.
    """
    length = mask.shape[1]
    visible = mask[:, None, None, :].to(torch.bool).expand(-1, 1, length, -1)
    if not bidirectional:
        visible = visible & torch.ones(length, length, dtype=torch.bool, device=mask.device).tril()
    return (~visible).to(dtype) * (max(torch.finfo(dtype).min, torch.finfo(torch.bfloat16).min) / 4)


def sinusoid_grid(grid: int, width: int) -> Tensor:
    """(grid * grid, width): sines and cosines of row and column, a start for learned positions of patches."""
    frequencies = 10000.0 ** -(torch.arange(width // 4, dtype=torch.float32) / (width // 4))
    angles = torch.arange(grid, dtype=torch.float32)[:, None] * frequencies  # (grid, width / 4)
    waves = torch.cat([angles.sin(), angles.cos()], dim=-1)
    rows = waves[:, None].expand(-1, grid, -1)
    columns = waves[None].expand(grid, -1, -1)
    return torch.cat([rows, columns], dim=-1).reshape(grid * grid, width)


def _vision_tower(config: VisionConfig, attention: str) -> SiglipVisionModel:
    """SigLIP without its pooling head, which the published checkpoint does not have either."""
    siglip = SiglipVisionConfig(
        hidden_size=config.width,
        intermediate_size=config.intermediate,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        patch_size=config.patch,
        image_size=config.image_size,
        vision_use_head=False,
    )
    siglip._attn_implementation = attention
    return SiglipVisionModel(siglip)


def _connector(config: ModelConfig) -> nn.Sequential:
    """From the vision tower's tokens to embeddings of the language model."""
    joined, width = config.vision.width * config.vision.shuffle**2, config.language.width
    if config.connector_layers == 1:
        return nn.Sequential(nn.Linear(joined, width))
    return nn.Sequential(nn.LayerNorm(joined), nn.Linear(joined, width), nn.GELU(), nn.Linear(width, width))


def _language_model(config: LanguageConfig, layers: int, attention: str) -> LlamaModel | Qwen3Model:
    """The language model with its first ``layers`` layers and its final norm."""
    settings, model = {"llama": (LlamaConfig, LlamaModel), "qwen3": (Qwen3Config, Qwen3Model)}[config.family]
    sizes = settings(
        vocab_size=config.vocab,
        hidden_size=config.width,
        intermediate_size=config.intermediate,
        num_hidden_layers=layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        head_dim=config.head_dim or config.width // config.heads,
        max_position_embeddings=config.max_positions,
        rms_norm_eps=config.rms_eps,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        pad_token_id=config.pad_id,
        bos_token_id=None,
        eos_token_id=None,
        use_cache=False,
        initializer_range=config.init_std,
    )
    sizes._attn_implementation = attention
    return model(sizes)
