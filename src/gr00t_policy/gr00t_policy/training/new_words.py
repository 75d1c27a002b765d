# SPDX-License-Identifier: Apache-2.0
"""A trained network learns the words of new sentences: a tokenizer in which they are whole, known words keep their meaning."""

from collections.abc import Iterable

import torch
from tokenizers import Tokenizer

from gr00t_policy.model.tokenizer import train_tokenizer
from gr00t_policy.model.vla import Vla


def with_new_words(model: Vla, known: Tokenizer, sentences: Iterable[str]) -> Tokenizer:
    """A tokenizer trained on ``sentences``; the network's word table is rearranged in place to go with it.

    known: the tokenizer the network was trained with, byte-level BPE as ``train_tokenizer`` makes it. A token that both have
    keeps its row; a new one begins as the mean of the rows of the pieces it was spelt in before.
    """
    tokenizer = train_tokenizer(sentences, model.config.language.vocab)
    table = model.backbone.language.embed_tokens.weight
    before = table.detach().clone()
    with torch.no_grad():
        for token, row in tokenizer.get_vocab().items():
            same = known.token_to_id(token)
            pieces = [same] if same is not None else [piece.id for piece in known.model.tokenize(token)]
            table[row] = before[pieces].mean(dim=0)
    return tokenizer
