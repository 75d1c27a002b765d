# SPDX-License-Identifier: Apache-2.0
"""A trained network learns the words of new sentences: each becomes one token of its own, all other tokens stay as they are."""

import json
from collections.abc import Iterable
from dataclasses import replace

import torch
from tokenizers import Tokenizer

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.vla import Vla, empty_vla

_WORD_TABLE = "backbone.language.embed_tokens.weight"


def with_new_words(model: Vla, known: Tokenizer, sentences: Iterable[str]) -> tuple[Vla, Tokenizer]:
    """The network and its tokenizer with a token and a row of the word table for each word that they spelt in pieces.

    known: the tokenizer the network was trained with, byte-level BPE as ``train_tokenizer`` makes it. Its tokens keep their ids
    and rows, so a text without the new words is to the bit what it was, whether or not ``sentences`` say it. A new row begins
    as the mean of the rows of the pieces. Where the word table is full, the network that is returned is a copy with a longer one.

    Raises ConfigError for a network with the published prompt, whose tokenizer is not ours to change.
    """
    if model.config.published:
        raise ConfigError(
            f"new words are learnt by networks with the compact prompt, this one has '{model.config.prompt_template}'; its "
            "tokenizer spells every word, leave new words out"
        )
    pieces = _spelt_in_pieces(known, sentences)
    first = max(known.get_vocab().values()) + 1
    tokenizer = _with_tokens(known, {word: first + number for number, word in enumerate(pieces)})
    larger = _with_rows(model, first + len(pieces))
    table = larger.backbone.language.embed_tokens.weight
    with torch.no_grad():
        for row, ids in enumerate(pieces.values(), start=first):
            table[row] = table[ids].mean(dim=0)
    return larger, tokenizer


def _spelt_in_pieces(known: Tokenizer, sentences: Iterable[str]) -> dict[str, list[int]]:
    """Words, as the tokenizer cuts them out of a sentence, that are more than one token, and their tokens' ids."""
    normal = (known.normalizer.normalize_str(sentence) for sentence in sentences)
    words = sorted({word for sentence in normal for word, _ in known.pre_tokenizer.pre_tokenize_str(sentence)})
    spelt = {word: [piece.id for piece in known.model.tokenize(word)] for word in words}
    return {word: ids for word, ids in spelt.items() if len(ids) > 1}


def _with_tokens(known: Tokenizer, new: dict[str, int]) -> Tokenizer:
    """Whole words without merges that lead to them: merges would also join pieces of words that are not meant."""
    described = json.loads(known.to_str())
    described["model"]["vocab"] |= new
    described["model"]["ignore_merges"] = True  # a word that is a token is that token; all others are merged as before
    return Tokenizer.from_str(json.dumps(described))


def _with_rows(model: Vla, rows: int) -> Vla:
    """The same network where its word table has so many rows, else a copy with as many; what is new in it is zero."""
    config, missing = model.config, rows - model.config.language.vocab
    if missing <= 0:
        return model
    larger = empty_vla(replace(config, language=replace(config.language, vocab=rows)))
    weights = model.state_dict()
    table = weights[_WORD_TABLE]
    larger.load_state_dict({**weights, _WORD_TABLE: torch.cat([table, table.new_zeros(missing, table.shape[1])])})
    return larger.train(model.training)
