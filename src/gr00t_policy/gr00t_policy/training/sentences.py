# SPDX-License-Identifier: Apache-2.0
"""Whether a network can read the sentences it is to be trained on: a sentence that does not fit would lose its end unseen."""

from collections.abc import Iterable
from typing import NamedTuple

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.model.config import ModelConfig
from gr00t_policy.model.tokenizer import PromptTokenizer


class Longest(NamedTuple):
    """sentences: how many different ones. tokens: of the longest. pieces_per_word: 1 when every word is known."""

    sentences: int
    tokens: int
    pieces_per_word: float


def sentences_of(datasets: Iterable[LeRobotDataset]) -> list[str]:
    """All different sentences, sorted."""
    return sorted({sentence for dataset in datasets for sentence in dataset.tasks.values()})


def room_of(config: ModelConfig) -> int:
    """How many tokens of a sentence the network reads at most."""
    return config.instruction_tokens or config.language.max_positions


def check_sentences(sentences: Iterable[str], prompt: PromptTokenizer, room: int, views: int) -> Longest:
    """Encode each. Words that the tokenizer does not know are spelt in pieces, down to bytes, and take more room.

    room: tokens that the network reads of a sentence, for the words of the error. views: pictures beside it. Raises
    ConfigError naming a sentence that loses its end.
    """
    longest, pieces, words = 0, 0, 0
    chosen = list(sentences)
    for sentence in chosen:
        tokens = len(prompt.tokenizer.encode(sentence, add_special_tokens=False).ids)
        if prompt.encode(sentence, views).truncated:
            raise ConfigError(
                f"the sentence '{sentence}' takes {tokens} tokens, the network reads {room}; shorten the sentence in the "
                "dataset (meta/tasks.jsonl), learn its words whole where the recipe can (--new-words), or train a network from "
                "scratch, whose tokenizer learns the words of its data"
            )
        longest, pieces, words = max(longest, tokens), pieces + tokens, words + max(len(sentence.split()), 1)
    return Longest(len(chosen), longest, pieces / max(words, 1))
