# SPDX-License-Identifier: Apache-2.0
"""The published tokenizers from files that a user has: those of Eagle-2 or Eagle-2.5, or of their language models.

Eagle-2 (N1) has the byte-level BPE of SmolLM2, adds twelve tokens, and splits text as the slow GPT-2 tokenizer does: SmolLM2's
own tokenizer.json would also cut numbers into digits, so only its vocabulary and merges are taken. Eagle-2.5 (N1.5) has the
BPE of Qwen3 with its way to split text, and adds tokens behind Qwen3's own; known and needed here are those around an image.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from gr00t_policy.core.errors import CheckpointError
from gr00t_policy.model.config import ModelConfig
from gr00t_policy.model.json_file import read_json_object

VOCABULARY = 49152  # tokens of SmolLM2 before the added ones
# id -> (text, special). The plain word "assistant" is one of them and is matched anywhere in a text.
ADDED: dict[int, tuple[str, bool]] = {
    49152: ("<img>", True),
    49153: ("</img>", True),
    49154: ("<IMG_CONTEXT>", True),
    49155: ("<quad>", True),
    49156: ("</quad>", True),
    49157: ("<ref>", True),
    49158: ("</ref>", True),
    49159: ("<box>", True),
    49160: ("</box>", True),
    49161: ("assistant", False),
    49162: ("<interval>", True),
    49163: ("</interval>", True),
}
CONTROL = {0: ("<|endoftext|>", True), 1: ("<|im_start|>", True), 2: ("<|im_end|>", True)}
# How Qwen2 and Qwen3 split a text; source: PRETOKENIZE_REGEX of transformers' tokenization_qwen2.py.
_QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SLOW_FILES = ("vocab.json", "merges.txt")
FAST_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"  # beside the slow files, where added tokens have their ids


@dataclass(frozen=True)
class PublishedTokens:
    """What is fixed of one release's tokenizer.

    vocabulary: tokens before the added ones. control, added: id -> (text, special); ``added`` is what Eagle put behind its
    language model's own tokens. qwen: text is split as in Qwen and made NFC first, else as in GPT-2.
    """

    eagle: str
    language_model: str
    release: str
    vocabulary: int
    control: dict[int, tuple[str, bool]]
    added: dict[int, tuple[str, bool]]
    qwen: bool = False


EAGLE_2 = PublishedTokens("Eagle-2", "SmolLM2-1.7B-Instruct", "N1", VOCABULARY, CONTROL, ADDED)
EAGLE_2_5 = PublishedTokens(
    "Eagle-2.5",
    "Qwen3-1.7B",
    "N1.5",
    vocabulary=151643,
    control={151643: ("<|endoftext|>", True), 151644: ("<|im_start|>", True), 151645: ("<|im_end|>", True)},
    added={151669: ("<IMG_CONTEXT>", True), 151670: ("<img>", True), 151671: ("</img>", True)},
    qwen=True,
)


@dataclass(frozen=True)
class _Parts:
    vocabulary: dict[str, int]
    merges: list[tuple[str, str]]
    added: dict[int, tuple[str, bool]]  # as the files have it


def has_tokenizer_files(folder: Path) -> bool:
    """Whether the folder holds a file that ``load_eagle_tokenizer`` reads; it may lack others."""
    return any((folder / name).is_file() for name in (*SLOW_FILES, FAST_FILE))


def tokenizer_files(folder: Path) -> tuple[Path, ...]:
    """The files that ``load_eagle_tokenizer`` reads of a folder which it accepts."""
    if all((folder / name).is_file() for name in SLOW_FILES):
        return tuple(folder / name for name in (*SLOW_FILES, CONFIG_FILE) if (folder / name).is_file())
    return (folder / FAST_FILE,)


def published_tokens(config: ModelConfig) -> PublishedTokens:
    """Of the release that a network of the published form belongs to."""
    return EAGLE_2_5 if config.prompt_template == "eagle2_5" else EAGLE_2


def load_eagle_tokenizer(folder: Path, published: PublishedTokens = EAGLE_2) -> Tokenizer:
    """From vocab.json and merges.txt (with tokenizer_config.json where there is one), or from tokenizer.json.

    Raises CheckpointError: files missing or damaged, another vocabulary, an added token with another id.
    """
    if all((folder / name).is_file() for name in SLOW_FILES):
        parts = _slow_parts(folder)
    elif (folder / FAST_FILE).is_file():
        parts = _fast_parts(folder / FAST_FILE, published.vocabulary)
    else:
        missing = ", ".join(name for name in SLOW_FILES if not (folder / name).is_file())
        raise CheckpointError(
            f"no tokenizer in {folder}: {missing} is missing (the eagle2_hg_model folder of the public GR00T "
            f"{published.release} code has {', '.join(SLOW_FILES)} and {CONFIG_FILE}), and so is {FAST_FILE} (of "
            f"{published.language_model})"
        )
    _check(parts, folder, published)
    tokenizer = Tokenizer(models.BPE(vocab=parts.vocabulary, merges=parts.merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if published.qwen:
        tokenizer.normalizer = normalizers.NFC()
        split = pre_tokenizers.Split(Regex(_QWEN_SPLIT), behavior="isolated", invert=False)
        whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, whole])
    tokenizer.decoder = decoders.ByteLevel()
    for number, (text, special) in sorted((published.control | parts.added | published.added).items()):
        token = AddedToken(text, special=special, normalized=False)
        (tokenizer.add_special_tokens if special else tokenizer.add_tokens)([token])
        if tokenizer.token_to_id(text) != number:
            raise CheckpointError(
                f"{folder}: token {text!r} has id {tokenizer.token_to_id(text)}, the published network expects {number}; "
                "is tokenizer_config.json missing?"
            )
    return tokenizer


def _check(parts: _Parts, folder: Path, published: PublishedTokens) -> None:
    if sorted(parts.vocabulary.values()) != list(range(published.vocabulary)):
        raise CheckpointError(
            f"{folder} has a vocabulary of {len(parts.vocabulary)} tokens; that of {published.eagle} and "
            f"{published.language_model} has ids 0 to {published.vocabulary - 1}"
        )
    known = parts.vocabulary
    for left, right in parts.merges:
        if left not in known or right not in known or left + right not in known:
            raise CheckpointError(f"{folder}: merge {left!r} {right!r} does not belong to the vocabulary")
    for number, (text, _) in parts.added.items():
        if number in published.added and published.added[number][0] != text:
            raise CheckpointError(
                f"{folder}: token {number} is {text!r}, the published network has {published.added[number][0]!r} there"
            )


def _slow_parts(folder: Path) -> _Parts:
    vocabulary = _vocabulary(read_json_object(folder / "vocab.json"), folder / "vocab.json")
    try:
        text = (folder / "merges.txt").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{folder / 'merges.txt'} cannot be read: {error}") from error
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#version")]
    path = folder / CONFIG_FILE
    entries = read_json_object(path).get("added_tokens_decoder", {}) if path.is_file() else {}
    if not isinstance(entries, Mapping):
        raise CheckpointError(f"{path}: added_tokens_decoder must be an object, got {type(entries).__name__}")
    added = dict(_added(number, entry, path) for number, entry in entries.items())
    return _Parts(vocabulary, [_pair(line, folder / "merges.txt") for line in lines], added)


def _fast_parts(path: Path, size: int) -> _Parts:
    data = read_json_object(path)
    model, entries = data.get("model"), data.get("added_tokens", [])
    if not isinstance(model, dict) or not isinstance(model.get("merges"), list) or not isinstance(entries, list):
        raise CheckpointError(f"{path} is not a BPE tokenizer file")
    added = dict(_added(entry.get("id") if isinstance(entry, dict) else None, entry, path) for entry in entries)
    vocabulary = _vocabulary(model.get("vocab"), path)
    base = {text: number for text, number in vocabulary.items() if number < size}
    return _Parts(base, [_pair(merge, path) for merge in model["merges"]], added)


def _vocabulary(data: Any, path: Path) -> dict[str, int]:
    if not isinstance(data, dict) or not all(type(number) is int for number in data.values()):
        raise CheckpointError(f"{path} has no vocabulary of texts and ids")
    return data


def _pair(merge: Any, path: Path) -> tuple[str, str]:
    """'left right', or [left, right] as newer files have it."""
    parts = merge.split(" ") if isinstance(merge, str) else merge
    if not isinstance(parts, list) or len(parts) != 2 or not all(isinstance(part, str) for part in parts):
        raise CheckpointError(f"{path}: {merge!r} is not a merge of two tokens")
    return parts[0], parts[1]


def _added(number: Any, entry: Any, path: Path) -> tuple[int, tuple[str, bool]]:
    try:
        return int(number), (str(entry["content"]), bool(entry["special"]))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {entry!r} is not an added token with id, content and special") from error
