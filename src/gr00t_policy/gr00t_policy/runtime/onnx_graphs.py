# SPDX-License-Identifier: Apache-2.0
"""A checkpoint's network as ONNX files: encoder (System 2), context and head (System 1), static shapes, float32.

The modules are those of the OpenVINO engine. Prompts without a fixed length are padded to one (``prompt_room``). Needs torch.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.onnx._internal.torchscript_exporter import onnx_proto_utils

from gr00t_policy.model.checkpoint import Checkpoint
from gr00t_policy.runtime.engine_graphs import Encoder, frozen
from gr00t_policy.runtime.exported_folder import OPSET, ExportedPart, ExportedValue
from gr00t_policy.runtime.folded_head import FoldedContext, FoldedHead
from gr00t_policy.runtime.prompt_room import padded_to, prompt_room

# A protobuf message, which an ONNX file is, holds 2 GiB. Beyond that torch writes each large tensor to a file beside the graph,
# by a name that is the graph's own affair: such a part gets a folder of its own. The rest is left to what is no weight.
_OWN_FOLDER_BYTES = 1.8 * 2**30


def write_onnx(checkpoint: Checkpoint, folder: Path) -> tuple[ExportedPart, ...]:
    """Write <part>.onnx for each part, <part>/<part>.onnx where it is large, and say what goes in and out."""
    model = frozen(checkpoint)
    context = FoldedContext(model.head, masked=not checkpoint.config.instruction_tokens)
    head = FoldedHead(model.head, checkpoint.slot)
    pixels, ids, mask, features, state, noise = _examples(checkpoint)
    with torch.no_grad():
        kept = context(features, mask.float())
    cross = [f"{kind}_{block}" for block in range(len(kept) // 2) for kind in ("keys", "values")]
    kept_names = ("bias", *cross)
    plans: tuple[tuple[str, nn.Module, tuple[Tensor, ...], tuple[str, ...], tuple[str, ...]], ...] = (
        (
            "encoder",
            Encoder(model),
            (pixels, ids, mask),
            ("pixel_values", "input_ids", "attention_mask"),
            ("features",),
        ),
        ("context", context, (features, mask.float()), ("features", "mask"), kept_names),
        (
            "head",
            head,
            (state, noise, torch.zeros_like(noise), torch.zeros(1, noise.shape[1], 1), *kept),
            ("state", "noise", "known_actions", "known_weights", *kept_names),
            ("actions",),
        ),
    )
    return tuple(_write(folder, *plan) for plan in plans)


def _examples(checkpoint: Checkpoint) -> tuple[Tensor, ...]:
    config, views = checkpoint.config, len(checkpoint.embodiment.cameras)
    head, side = config.head, config.vision.image_size
    prompt, room = checkpoint.prompt.encode("a", views), prompt_room(checkpoint)
    ids = torch.from_numpy(padded_to(prompt.input_ids[None], room, config.language.pad_id))
    mask = torch.from_numpy(padded_to(prompt.attention_mask[None], room))
    return (
        torch.zeros(1, views, 3, side, side),
        ids,
        mask,
        torch.zeros(1, ids.shape[1], head.cross_dim),
        torch.zeros(1, 1, head.state_dim),
        torch.zeros(1, head.horizon, head.action_dim),
    )


def _write(
    folder: Path,
    part: str,
    module: nn.Module,
    given: tuple[Tensor, ...],
    input_names: tuple[str, ...],
    output_names: tuple[str, ...],
) -> ExportedPart:
    module = module.eval()
    size = sum(value.numel() * value.element_size() for value in module.parameters())
    file = f"{part}/{part}.onnx" if size > _OWN_FOLDER_BYTES else f"{part}.onnx"
    (folder / file).parent.mkdir(exist_ok=True)
    with torch.no_grad():
        answer = module(*given)
    outputs = answer if isinstance(answer, tuple) else (answer,)
    with warnings.catch_warnings(), torch.no_grad(), _without_onnx_package():
        warnings.simplefilter("ignore")  # shapes are constants of the graph, and so they are meant
        torch.onnx.export(
            module,
            given,
            str(folder / file),
            input_names=list(input_names),
            output_names=list(output_names),
            opset_version=OPSET,
            dynamo=False,  # the other exporter needs the package onnxscript
        )
    values = [
        tuple(ExportedValue(name, str(value.dtype).removeprefix("torch."), tuple(value.shape)) for name, value in pairs)
        for pairs in (zip(input_names, given, strict=True), zip(output_names, outputs, strict=True))
    ]
    return ExportedPart(part, file, *values)


@contextmanager
def _without_onnx_package() -> Iterator[None]:
    """torch writes the file itself; it asks for the package onnx only to add functions of onnxscript, of which we have none."""
    original = onnx_proto_utils._add_onnxscript_fn
    onnx_proto_utils._add_onnxscript_fn = lambda model_bytes, custom_opsets: model_bytes
    try:
        yield
    finally:
        onnx_proto_utils._add_onnxscript_fn = original
