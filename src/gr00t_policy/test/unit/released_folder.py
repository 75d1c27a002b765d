# SPDX-License-Identifier: Apache-2.0
"""A checkpoint folder in the released layout, of the published form and a few MB, and a tokenizer of the published size."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import pre_tokenizers

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.model.config import preset
from gr00t_policy.model.synthesis import synthesise_release

SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MERGES = [("c", "u"), ("cu", "p")]


def write_tokenizer(folder: Path) -> Path:
    """vocab.json and merges.txt with the published number of tokens: bytes, a word, and fillers that no text contains."""
    folder.mkdir(parents=True, exist_ok=True)
    known = [*SPECIALS, *sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in MERGES)]
    tokens = [*known, *(f"\t{number}" for number in range(49152 - len(known)))]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(f"{a} {b}" for a, b in MERGES) + "\n")
    return folder


def as_smollm2(vocabulary: dict[str, int], merges: list[str], folder: Path) -> Path:
    """tokenizer.json as SmolLM2 has it: digits apart, none of Eagle-2's tokens, "assistant" an ordinary word."""
    folder.mkdir()
    special = [{"id": i, "content": text, "special": True, "normalized": False} for i, text in enumerate(SPECIALS)]
    model: dict[str, Any] = {"type": "BPE", "vocab": vocabulary, "merges": merges}
    digits = {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}]}
    data = {"version": "1.0", "added_tokens": special, "pre_tokenizer": digits, "model": model}
    (folder / "tokenizer.json").write_text(json.dumps(data))
    return folder


def write_release_folder(folder: Path, *, seed: int = 0, dtype: str = "float32", shards: int = 1) -> Path:
    """For the GR-1, with its tokenizer in ``eagle2_hg_model``."""
    synthesise_release(folder, preset("n1_tiny_release"), load_embodiment("gr1"), seed=seed, dtype=dtype, shards=shards)
    write_tokenizer(folder / "eagle2_hg_model")
    return folder


def edit_json(path: Path, change: Callable[[Any], object]) -> None:
    """Load, let ``change`` alter it in place, save."""
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def rewrite(path: Path, content: bytes) -> None:
    """A new file of that name: cutting an old one short makes some file systems wait for the disk."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def mutated(text: bytes, rng: random.Random) -> bytes:
    """One to four random faults: bytes flipped, cut out, put in twice, or numbers and words replaced by others."""
    for _ in range(rng.randint(1, 4)):
        if not text:
            return text
        begin = rng.randrange(len(text))
        end = min(len(text), begin + rng.choice((1, 1, 2, 8, 40)))
        kind = rng.randrange(5)
        if kind == 0:
            text = text[:begin] + bytes(rng.randrange(256) for _ in range(end - begin)) + text[end:]
        elif kind == 1:
            text = text[:begin] + text[end:]
        elif kind == 2:
            text = text[:end] + text[begin:end] + text[end:]
        elif kind == 3:
            text = text[:begin] + rng.choice(ODD_VALUES) + text[end:]
        else:
            text = _swapped_value(text, begin, rng)
    return text


ODD_VALUES = (
    b"null", b"true", b"-1", b"0", b"1e999", b"NaN", b"9" * 400, b'"x"', b"[]", b"{}", b"[[[[", b"\\ud800", b"1.5", b"-0.0",
    b"{", b"}", b'"', b",", b"\x00", b"\xff\xfe", b"18446744073709551616",
)  # fmt: skip


def _swapped_value(text: bytes, begin: int, rng: random.Random) -> bytes:
    """Replace what stands between the next colon and the comma after it."""
    colon = text.find(b":", begin)
    comma = text.find(b",", colon)
    if colon < 0 or comma < 0:
        return text
    return text[: colon + 1] + rng.choice(ODD_VALUES) + text[comma:]
