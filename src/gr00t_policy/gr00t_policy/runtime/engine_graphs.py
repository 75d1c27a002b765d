# SPDX-License-Identifier: Apache-2.0
"""The network of a checkpoint as OpenVINO graphs: encoder (System 2), context and head (System 1).

Needs torch, and nncf for int8; a machine that finds the graphs in the cache needs neither.
"""

import logging

import nncf
import openvino as ov
import torch
from torch import Tensor, nn

from gr00t_policy.model.checkpoint import Checkpoint
from gr00t_policy.model.vla import Vla
from gr00t_policy.runtime.folded_head import FoldedContext, FoldedHead, FoldedPass

ENCODER, CONTEXT, HEAD, STAGGERED = "encoder", "context", "head", "staggered"
# What turns joint angles and actions into tokens and back stays float32: it is small, and errors there are motion.
_EXACT = (r".*state_in.*", r".*state_out.*", r".*action_in.*", r".*decode_out.*")


def build_encoder(checkpoint: Checkpoint, precision: str) -> dict[str, ov.Model]:
    """pixel_values (1, V, 3, H, W), input_ids and mask (1, S) -> features (1, S, D); 'fp32' or 'int8'."""
    model = frozen(checkpoint)
    views, side = len(checkpoint.embodiment.cameras), checkpoint.config.vision.image_size
    prompt = checkpoint.prompt.encode("a", views)
    pixels = torch.zeros(1, views, 3, side, side)
    ids, mask = torch.from_numpy(prompt.input_ids)[None], torch.from_numpy(prompt.attention_mask)[None]
    length = _length(checkpoint)
    graph = _convert(Encoder(model), (pixels, ids, mask), [list(pixels.shape), [1, length], [1, length]])
    return {ENCODER: _compressed(graph) if precision == "int8" else graph}


def build_head(checkpoint: Checkpoint, precision: str) -> dict[str, ov.Model]:
    """See FoldedContext (always float32: it runs once per tokens message) and FoldedHead; 'fp32' or 'int8'."""
    model, sizes = frozen(checkpoint), checkpoint.config.head
    context, head = FoldedContext(model.head), FoldedHead(model.head, checkpoint.slot)
    features, mask = torch.zeros(1, 8, sizes.cross_dim), torch.ones(1, 8)
    state, noise = torch.zeros(1, 1, sizes.state_dim), torch.zeros(1, sizes.horizon, sizes.action_dim)
    known, weights = torch.zeros_like(noise), torch.zeros(1, sizes.horizon, 1)
    kept, length = context(features, mask), _length(checkpoint)
    ends = [list(tensor.shape) for tensor in (state, noise, known, weights)]
    shapes = [*ends, *_context_shapes(checkpoint, 1)]
    graph = _convert(head, (state, noise, known, weights, *kept), shapes)
    return {
        CONTEXT: _convert(context, (features, mask), [[1, length, sizes.cross_dim], [1, length]]),
        HEAD: _compressed(graph) if precision == "int8" else graph,
    }


def build_staggered(checkpoint: Checkpoint, precision: str) -> dict[str, ov.Model]:
    """See FoldedPass: one Euler step of as many chunks in flight as there are steps; 'fp32' or 'int8'."""
    model, sizes = frozen(checkpoint), checkpoint.config.head
    rows = sizes.steps
    states, x = torch.zeros(rows, 1, sizes.state_dim), torch.zeros(rows, sizes.horizon, sizes.action_dim)
    with torch.no_grad():
        kept = FoldedContext(model.head)(torch.zeros(rows, 8, sizes.cross_dim), torch.ones(rows, 8))
    shapes = [list(states.shape), list(x.shape), *_context_shapes(checkpoint, rows)]
    graph = _convert(FoldedPass(model.head, checkpoint.slot), (states, x, *kept), shapes)
    return {STAGGERED: _compressed(graph) if precision == "int8" else graph}


def _context_shapes(checkpoint: Checkpoint, rows: int) -> list[list[int]]:
    """Of what ``FoldedContext`` gives: bias, then keys and values of each cross block."""
    sizes, length = checkpoint.config.head, _length(checkpoint)
    pair = [[rows, sizes.heads, sizes.head_dim, length], [rows, sizes.heads, length, sizes.head_dim]]
    return [[rows, 1, 1, length], *pair * ((sizes.layers + 1) // 2)]


def frozen(checkpoint: Checkpoint) -> Vla:
    """The whole network in float32, without gradients."""
    return checkpoint.load_weights().requires_grad_(False)


def _length(checkpoint: Checkpoint) -> int:
    """Tokens of every prompt, or -1 where instructions are as long as they are."""
    config = checkpoint.config
    return config.prompt_length(len(checkpoint.embodiment.cameras)) if config.instruction_tokens else -1


class Encoder(nn.Module):
    """System 2 as a module of its own."""

    def __init__(self, model: Vla) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.model.encode(pixel_values, input_ids, attention_mask)


def _convert(module: nn.Module, example: tuple[Tensor, ...], shapes: list[list[int]]) -> ov.Model:
    with torch.inference_mode():
        return ov.convert_model(
            module.eval(), example_input=example, input=[ov.PartialShape(shape) for shape in shapes]
        )


def _compressed(graph: ov.Model) -> ov.Model:
    """Weights of products in 8 bit; activations are quantised as they come (the engine sets the group size)."""
    logging.getLogger("nncf").setLevel(logging.ERROR)
    scope = nncf.IgnoredScope(patterns=list(_EXACT), validate=False)
    return nncf.compress_weights(graph, mode=nncf.CompressWeightsMode.INT8_ASYM, ignored_scope=scope)
