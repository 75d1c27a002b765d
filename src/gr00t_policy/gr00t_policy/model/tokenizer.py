# SPDX-License-Identifier: Apache-2.0
"""Sentences to prompt ids: the published Eagle-2 chat prompt and the compact prompt of small models. No torch here."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from gr00t_policy.core.errors import CheckpointError, ConfigError, MessageError
from gr00t_policy.model.config import ModelConfig
from gr00t_policy.model.json_file import read_json_object

PAD, IMAGE_OPEN, IMAGE_CLOSE, IMAGE_CONTEXT = "<pad>", "<img>", "</img>", "<IMG_CONTEXT>"
COMPACT_SPECIALS = (PAD, IMAGE_OPEN, IMAGE_CLOSE, IMAGE_CONTEXT)  # ids 0, 1, 2, 3
DEFAULT_INSTRUCTION = "Perform the default behavior."  # gr00t/model/transforms.py of the public N1 code
_SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
_SUFFIX = "<|im_end|>\n<|im_start|>assistant\n"


@dataclass(frozen=True)
class Prompt:
    """input_ids and attention_mask (S,) int64, mask 1 = real token. truncated: the instruction did not fit whole."""

    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]
    truncated: bool = False


class PromptTokenizer(Protocol):
    """Builds the whole prompt of a network: instruction and placeholders for ``views`` images."""

    tokenizer: Tokenizer

    def encode(self, instruction: str, views: int = 1) -> Prompt: ...


class CompactPrompt:
    """Fixed-length prompt: instruction window, padded on its right, then ``<img> context </img>`` per view (or after)."""

    def __init__(self, tokenizer: Tokenizer, config: ModelConfig) -> None:
        """Raises CheckpointError when the tokenizer does not belong to the network."""
        ids = [tokenizer.token_to_id(token) for token in COMPACT_SPECIALS]
        if None in ids or ids[0] != config.language.pad_id or ids[3] != config.image_token_id:
            raise CheckpointError(
                f"tokenizer has ids {dict(zip(COMPACT_SPECIALS, ids, strict=True))}; the network expects {PAD} at "
                f"{config.language.pad_id} and {IMAGE_CONTEXT} at {config.image_token_id}"
            )
        if tokenizer.get_vocab_size() > config.language.vocab:
            raise CheckpointError(
                f"tokenizer has {tokenizer.get_vocab_size()} tokens, the network only {config.language.vocab}"
            )
        self.tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self.tokenizer.encode_special_tokens = True  # "<img>" typed by a person is plain text
        self.config = config
        self._pad = config.language.pad_id
        self._image = [ids[1], *[ids[3]] * config.vision.tokens, ids[2]]

    def encode(self, instruction: str, views: int = 1) -> Prompt:
        """Prompt of fixed length for any text, also an empty one; a text that is too long loses its end."""
        window = self.config.instruction_tokens
        ids = self.tokenizer.encode(instruction, add_special_tokens=False).ids
        kept = ids[:window] if window else ids
        padding = max(window - len(kept), 0)
        text = np.array(kept + [self._pad] * padding, dtype=np.int64)
        text_mask = np.array([1] * len(kept) + [0] * padding, dtype=np.int64)
        images = np.array(self._image * views, dtype=np.int64)
        parts = [(text, text_mask), (images, np.ones_like(images))]
        ordered = parts if self.config.text_first else parts[::-1]
        input_ids, mask = (np.concatenate([part[i] for part in ordered]) for i in (0, 1))
        return Prompt(input_ids, mask, truncated=len(kept) < len(ids))


class EaglePrompt:
    """The published chat prompt: system line, images, instruction, assistant marker. Length follows the instruction."""

    before, after = _SYSTEM, _SUFFIX

    def __init__(self, tokenizer: Tokenizer, config: ModelConfig) -> None:
        self.tokenizer = tokenizer
        self.config = config
        self._context = IMAGE_CONTEXT * config.vision.tokens
        if tokenizer.token_to_id(IMAGE_CONTEXT) != config.image_token_id:
            raise CheckpointError(
                f"tokenizer has {IMAGE_CONTEXT} at {tokenizer.token_to_id(IMAGE_CONTEXT)}, the network at {config.image_token_id}"
            )

    def encode(self, instruction: str, views: int = 1) -> Prompt:
        """Prompt with the instruction as it is, in N1 verbatim, cut where the language model's positions end.

        Encoded in one piece, as the public code does: white space at the start of an instruction becomes one token with the
        line end before it.

        Raises MessageError when the instruction contains the image placeholder, which would displace the images.
        """
        if IMAGE_CONTEXT in instruction:
            raise MessageError(f"the instruction contains the reserved marker {IMAGE_CONTEXT}; say it without")
        around = [self.around_view(k, views) for k in range(1, views + 1)]
        images = "".join(before + self._context + after for before, after in around)
        whole = self._ids(self.before + images + self.rendered(instruction) + self.after)
        positions = self.config.language.max_positions
        truncated = len(whole) > positions
        if truncated:
            after = self._ids(self.after)  # begins with a special token, so its ids are the same by itself
            whole = whole[: positions - len(after)] + after
        ids = np.array(whole, dtype=np.int64)
        return Prompt(ids, np.ones_like(ids), truncated=truncated)

    def rendered(self, instruction: str) -> str:
        """As it is written into the prompt."""
        return instruction

    def around_view(self, number: int, views: int) -> tuple[str, str]:
        """Text before and after the placeholders of image ``number``, from 1, of so many."""
        label = f"<image {number}>" if views > 1 else ""
        return f"{label}{IMAGE_OPEN}", f"{IMAGE_CLOSE}\n"

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids


class Eagle25Prompt(EaglePrompt):
    """That of N1.5: each image has its number, also a single one, and no line end behind it.

    The instruction is written as a list of one, brackets and quotes included. That is what the public policy makes of it
    when it is asked for one robot (a numpy array of one text meets the chat template), and what lerobot's port repeats.
    """

    def rendered(self, instruction: str) -> str:
        return str([instruction])

    def around_view(self, number: int, views: int) -> tuple[str, str]:
        return f"<image {number}>{IMAGE_OPEN}", IMAGE_CLOSE


def prompt_tokenizer(tokenizer: Tokenizer, config: ModelConfig) -> PromptTokenizer:
    """The prompt builder that the network's configuration asks for."""
    if config.prompt_template == "compact":
        return CompactPrompt(tokenizer, config)
    return (Eagle25Prompt if config.prompt_template == "eagle2_5" else EaglePrompt)(tokenizer, config)


def default_instruction(config: ModelConfig) -> str | None:
    """What the network reads of data without any sentences: of the published form as in GR00T N1, of others None.

    Of data alone. A sentence that is there is taken as it is, also an empty one; and a robot at work to which nobody has said
    anything, or an empty sentence, is to stay where it is.
    """
    return DEFAULT_INSTRUCTION if config.published else None


def train_tokenizer(sentences: Iterable[str], vocab: int = 512) -> Tokenizer:
    """A byte-level BPE trained on ``sentences``: every UTF-8 text encodes, known words become one token each.

    Case is folded. Raises ConfigError when ``vocab`` cannot hold the 256 bytes and the special tokens.
    """
    least = 256 + len(COMPACT_SPECIALS)
    if vocab < least:
        raise ConfigError(f"a byte-level vocabulary needs at least {least} tokens, got {vocab}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=list(COMPACT_SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sorted(set(sentences)), trainer)
    return tokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer.json. Raises CheckpointError."""
    data = read_json_object(path)
    if not isinstance(data.get("model"), dict):
        raise CheckpointError(f"{path} is not a tokenizer file: it has no 'model'")
    return Tokenizer.from_str(path.read_text(encoding="utf-8"))
