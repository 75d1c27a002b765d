# SPDX-License-Identifier: Apache-2.0
"""How a sentence and a picture become what an exported network reads, as data for programs that do not have this suite.

What is said here is held against the suite's own prompts and pictures by a reader that knows nothing else.
"""

from typing import Any

from gr00t_policy.model.checkpoint import Checkpoint
from gr00t_policy.model.tokenizer import IMAGE_CLOSE, IMAGE_CONTEXT, IMAGE_OPEN, CompactPrompt, EaglePrompt
from gr00t_policy.runtime.prompt_room import prompt_room

_EXAMPLE = "Take the red can, then don't move."
_RENDERED = (_EXAMPLE, 'say "hello"', 'don\'t say "hello"', "one\\two\nthree", "caf\u00e9 \u200b")
_VERBATIM = "verbatim"
_AS_LIST = (
    "as Python 3 writes a list of one text: between \"['\" and \"']\", or between '[\"' and '\"]' where the sentence has a ' "
    'and no "; before a backslash and before the quote that is around it stands a backslash; tab, line feed and carriage '
    "return become \\t, \\n, \\r, other characters that cannot be printed \\xNN, \\uNNNN or \\UNNNNNNNN; see examples"
)


def prompt_facts(checkpoint: Checkpoint) -> dict[str, Any]:
    """``prompt`` of network.json: parts in order, how their ids are made and joined, and one sentence with all its ids."""
    prompt, config = checkpoint.prompt, checkpoint.config
    assert isinstance(prompt, CompactPrompt | EaglePrompt), "the prompts of networks that are exported"
    cameras = [camera.name for camera in checkpoint.embodiment.cameras]
    example = prompt.encode(_EXAMPLE, len(cameras))
    return {
        "length": prompt_room(checkpoint),
        "padding": f"on the right with token {config.language.pad_id}, mask 0; of features with zeros, mask 0",
        "padding_id": config.language.pad_id,
        "tokenizer": "tokenizer.json",
        "add_special_tokens": False,
        "image_token": IMAGE_CONTEXT,
        "image_token_id": config.image_token_id,
        "tokens_per_view": config.vision.tokens,
        **(_compact(prompt, cameras) if isinstance(prompt, CompactPrompt) else _published(prompt, cameras)),
        "example": {
            "sentence": _EXAMPLE,
            "input_ids": example.input_ids.tolist(),
            "attention_mask": example.attention_mask.tolist(),
        },
    }


def _published(prompt: EaglePrompt, cameras: list[str]) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"text": prompt.before}]
    for number, camera in enumerate(cameras, start=1):
        before, after = prompt.around_view(number, len(cameras))
        parts += [{"text": before}, {"image_of": camera}, {"text": after}]
    parts += [{"sentence": "instruction"}, {"text": prompt.after}]
    as_it_is = prompt.rendered("x") == "x"
    return {
        "parts": parts,
        "joined": "as text: encode the parts in one piece, image_of as image_token so many times as tokens_per_view",
        "joined_as": "text",
        "sentence": {
            "rendered": _VERBATIM if as_it_is else "python_list",
            "rule": _VERBATIM if as_it_is else _AS_LIST,
            "examples": {text: prompt.rendered(text) for text in _RENDERED},
            "tokens": 0,
            "refused": f"a sentence with {IMAGE_CONTEXT} in it, and one whose prompt is longer than length",
        },
        "special_tokens_in_sentence": "are special tokens",
    }


def _compact(prompt: CompactPrompt, cameras: list[str]) -> dict[str, Any]:
    window = prompt.config.instruction_tokens
    opened, closed = ({"text": text, "ids": [prompt.tokenizer.token_to_id(text)]} for text in (IMAGE_OPEN, IMAGE_CLOSE))
    images = [part for camera in cameras for part in (opened, {"image_of": camera}, closed)]
    sentence = [{"sentence": "instruction"}]
    return {
        "parts": sentence + images if prompt.config.text_first else images + sentence,
        "joined": "as ids: encode the sentence by itself; text has its ids, image_of is image_token_id so many times as "
        "tokens_per_view",
        "joined_as": "ids",
        "sentence": {
            "rendered": _VERBATIM,
            "rule": f"a longer one loses its end, a shorter one is padded on its right with padding_id, mask 0, to {window} "
            "tokens"
            if window
            else "whole, without padding of its own",
            "examples": {text: text for text in _RENDERED},
            "tokens": window,
            "refused": "none" if window else "one whose prompt is longer than length",
        },
        "special_tokens_in_sentence": "are plain text (encode_special_tokens of the tokenizers library)",
    }


def image_facts(checkpoint: Checkpoint) -> dict[str, Any]:
    """``image`` of network.json: the way from a camera's frame to the network's numbers, step by step."""
    config, cameras = checkpoint.config, checkpoint.embodiment.cameras
    return {
        "cameras": [camera.name for camera in cameras],
        "frames": {camera.name: {"height": camera.height, "width": camera.width} for camera in cameras},
        "size": config.vision.image_size,
        "crop_fraction": config.crop_fraction,
        "scaling": "x / 127.5 - 1, RGB, channels first",
        "mean": 0.5,
        "std": 0.5,
        **(_PUBLISHED_PICTURE if config.published else _PICTURE),
    }


_CROP = (
    "crop: of L rows keep int(L * crop_fraction) from row round((L - kept) / 2), where round takes a half to the even "
    "number; columns likewise"
)
_SCALE = "channels first, float32: (x / 255 - mean) / std"
_PUBLISHED_PICTURE = {
    "resize_in": "float32",
    "resize_sees_beyond_crop": False,
    "rounding": "cut off",
    "steps": [
        _CROP,
        "each channel as float32: x / 255",
        "resize to size x size: bilinear with antialiasing, that is a triangle as wide as the scale (torchvision's "
        "antialias=True, Pillow's BILINEAR on pictures of mode F); nothing outside the crop is seen",
        "to bytes: x * 255, cut off, not rounded",
        _SCALE,
    ],
}
_PICTURE = {
    "resize_in": "bytes",
    "resize_sees_beyond_crop": True,
    "rounding": "to the nearest",
    "steps": [
        _CROP,
        "widen the crop on both sides of each axis by margin * scale, where scale = kept / size and margin = "
        "int(min(start, L - kept - start) / scale), within 0 and L",
        "resize that box, whose ends need not be whole, to size + 2 * margin on each axis: bilinear with antialiasing on "
        "bytes, rounded to the nearest (Pillow's resize with BILINEAR and box)",
        "cut margin pixels off each side",
        _SCALE,
    ],
}
