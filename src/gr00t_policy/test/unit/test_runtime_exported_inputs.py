# SPDX-License-Identifier: Apache-2.0
"""Whoever has the exported folder alone asks the network with the same ids and the same picture as the suite does."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer

from gr00t_policy.data.camera_views import CameraViews
from gr00t_policy.data.published_images import picture_transform
from gr00t_policy.model.checkpoint import Checkpoint
from gr00t_policy.model.config import ModelConfig, preset
from gr00t_policy.model.random_checkpoint import random_checkpoint
from gr00t_policy.model.tokenizer import prompt_tokenizer, train_tokenizer
from gr00t_policy.runtime.exported_folder import DESCRIPTION, write_description

SENTENCES = (
    "pick up the red can",
    "",
    "  Put the <img> into the BIN",
    "don't move",
    'say "hello"',
    'don\'t say "hello"',
    "one\\two\nthree\tfour",
    "café\u200b \N{COOKED RICE} \x07",
    "pick up the can and the red can and all the other cans, one after the other, and put each of them into its own bin",
)
CONFIGS = {
    "N1": replace(preset("n1_2b"), image_token_id=3),
    "N1.5": replace(preset("n1_5_3b"), image_token_id=3),
    "tiny": preset("tiny"),
    "tiny, looks everywhere": replace(
        preset("tiny"), text_first=False, instruction_tokens=0, crop_fraction=0.9, embodiment_slots={"gr1": 0}
    ),
}


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return random_checkpoint("tiny")


@pytest.fixture(params=[(name, views) for name in CONFIGS for views in (1, 2)], ids=str)
def network(request: pytest.FixtureRequest, checkpoint: Checkpoint) -> Checkpoint:
    """With a tokenizer in which words and their places in the text matter; no weights are read."""
    name, views = request.param
    config: ModelConfig = CONFIGS[name]
    first = checkpoint.embodiment.cameras[0]
    cameras = (first, replace(first, name="wrist", width=161, height=117))[:views]
    return replace(
        checkpoint,
        config=config,
        embodiment=replace(checkpoint.embodiment, cameras=cameras),
        prompt=prompt_tokenizer(train_tokenizer(SENTENCES), config),
    )


@pytest.fixture
def folder(network: Checkpoint, tmp_path: Path) -> Path:
    """What ``export`` writes beside graphs and answers."""
    write_description(tmp_path, network, ())
    said = json.loads((tmp_path / DESCRIPTION).read_text())
    network.prompt.tokenizer.save(str(tmp_path / said["prompt"]["tokenizer"]))
    return tmp_path


def read_prompt(folder: Path, sentence: str) -> tuple[list[int], list[int]]:
    """input_ids and attention_mask by the description alone."""
    said = json.loads((folder / "network.json").read_text())["prompt"]
    tokenizer = Tokenizer.from_file(str(folder / said["tokenizer"]))
    count = said["tokens_per_view"]

    def ids_of(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=said["add_special_tokens"]).ids

    if said["joined_as"] == "text":
        ids = ids_of("".join(as_text(said, part, sentence) for part in said["parts"]))
        return ids, [1] * len(ids)
    tokenizer.encode_special_tokens = "plain text" in said["special_tokens_in_sentence"]
    ids, mask, window = [], [], said["sentence"]["tokens"]
    for part in said["parts"]:
        if "sentence" in part:
            own = ids_of(sentence)[: window or None]
            padding = max(window - len(own), 0)
            ids, mask = ids + own + [said["padding_id"]] * padding, mask + [1] * len(own) + [0] * padding
        else:
            own = [said["image_token_id"]] * count if "image_of" in part else part["ids"]
            ids, mask = ids + own, mask + [1] * len(own)
    return ids, mask


def as_text(said: dict[str, Any], part: dict[str, str], sentence: str) -> str:
    if "image_of" in part:
        return said["image_token"] * said["tokens_per_view"]
    if "text" in part:
        return part["text"]
    return sentence if said["sentence"]["rendered"] == "verbatim" else python_list(sentence)


def python_list(sentence: str) -> str:
    """By the words of the rule."""
    quote = '"' if "'" in sentence and '"' not in sentence else "'"
    named = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\", quote: "\\" + quote}

    def written(character: str) -> str:
        if character in named or character.isprintable():
            return named.get(character, character)
        number = ord(character)
        return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}" if number < 65536 else f"\\U{number:08x}"

    return f"[{quote}{''.join(map(written, sentence))}{quote}]"


def read_picture(folder: Path, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(3, size, size) by the steps of the description."""
    said = json.loads((folder / "network.json").read_text())["image"]
    size, wide = said["size"], said["resize_sees_beyond_crop"]
    kept = [int(length * said["crop_fraction"]) for length in frame.shape[:2]]
    start = [round((length - keep) / 2) for length, keep in zip(frame.shape[:2], kept, strict=True)]
    if not wide:
        cut = frame[start[0] : start[0] + kept[0], start[1] : start[1] + kept[1]].astype(np.float32) / np.float32(255)
        planes = [Image.fromarray(np.ascontiguousarray(cut[..., channel])) for channel in range(3)]
        resized = [np.asarray(plane.resize((size, size), Image.Resampling.BILINEAR)) for plane in planes]
        seen = np.stack([(plane * np.float32(255)).astype(np.uint8) for plane in resized], axis=-1)
    else:
        (top, bottom, above), (left, right, beside) = (
            widened(*one, size) for one in zip(frame.shape[:2], kept, start, strict=True)
        )
        across, down = size + 2 * beside, size + 2 * above
        whole = Image.fromarray(frame).resize((across, down), Image.Resampling.BILINEAR, (left, top, right, bottom))
        seen = np.asarray(whole)[above : above + size, beside : beside + size]
    scaled = (seen.astype(np.float64) / 255 - said["mean"]) / said["std"]
    return np.moveaxis(scaled, -1, 0).astype(np.float32)


def widened(length: int, kept: int, start: int, size: int) -> tuple[float, float, int]:
    scale = kept / size
    margin = int(min(start, length - kept - start) / scale)
    return max(start - margin * scale, 0.0), min(start + kept + margin * scale, float(length)), margin


def test_the_ids_of_any_sentence_are_those_of_the_suite(network: Checkpoint, folder: Path) -> None:
    views = len(network.embodiment.cameras)
    for sentence in SENTENCES:
        wanted = network.prompt.encode(sentence, views)
        assert read_prompt(folder, sentence) == (wanted.input_ids.tolist(), wanted.attention_mask.tolist()), sentence


def test_a_reader_can_try_itself_on_one_sentence_and_on_how_it_is_written(network: Checkpoint, folder: Path) -> None:
    said = json.loads((folder / DESCRIPTION).read_text())["prompt"]
    example = said["example"]
    wanted = network.prompt.encode(example["sentence"], len(network.embodiment.cameras))
    assert (example["input_ids"], example["attention_mask"]) == (
        wanted.input_ids.tolist(),
        wanted.attention_mask.tolist(),
    )
    assert read_prompt(folder, example["sentence"]) == (example["input_ids"], example["attention_mask"])
    for sentence, written in said["sentence"]["examples"].items():
        assert as_text(said, {"sentence": "instruction"}, sentence) == written


def test_the_numbers_of_any_picture_are_those_of_the_suite(network: Checkpoint, folder: Path) -> None:
    said, config, rng = (
        json.loads((folder / DESCRIPTION).read_text())["image"],
        network.config,
        np.random.default_rng(0),
    )
    transform = picture_transform(config.vision.image_size, config.crop_fraction, published=config.published)
    frames = {
        name: rng.integers(0, 256, (frame["height"], frame["width"], 3), np.uint8)
        for name, frame in said["frames"].items()
    }
    wanted = CameraViews(network.embodiment, transform)(frames)
    for name, pixels in zip(said["cameras"], wanted, strict=True):
        got = read_picture(folder, frames[name])
        np.testing.assert_allclose(got, pixels, atol=1e-6)  # numbers of bytes: 2 / 255 apart
        np.testing.assert_array_equal(np.rint((got + 1) * 127.5), np.rint((pixels + 1) * 127.5))
