# SPDX-License-Identifier: Apache-2.0
"""Sentences to the ids that the Diffusion Policy reads: the sentence alone, since pictures go another way. No torch here."""

import numpy as np
from tokenizers import Tokenizer

from gr00t_policy.baseline.config import SentenceConfig
from gr00t_policy.core.errors import CheckpointError
from gr00t_policy.model.tokenizer import PAD, Prompt


class SentencePrompt:
    """A window of fixed length, padded on its right."""

    def __init__(self, tokenizer: Tokenizer, config: SentenceConfig) -> None:
        """Raises CheckpointError when the tokenizer does not belong to the network."""
        pad = tokenizer.token_to_id(PAD)
        if pad is None or tokenizer.get_vocab_size() > config.vocab:
            raise CheckpointError(
                f"the tokenizer has {tokenizer.get_vocab_size()} tokens, {PAD} at {pad}; the network reads at most "
                f"{config.vocab} and needs {PAD}"
            )
        self.tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self.tokenizer.encode_special_tokens = True  # "<pad>" typed by a person is plain text
        self._window, self._pad = config.window, pad

    def encode(self, instruction: str, views: int = 1) -> Prompt:
        """Any text, also an empty one; a text that is too long loses its end. views: makes no difference."""
        ids = self.tokenizer.encode(instruction, add_special_tokens=False).ids
        kept = ids[: self._window]
        padding = self._window - len(kept)
        return Prompt(
            np.array(kept + [self._pad] * padding, np.int64),
            np.array([1] * len(kept) + [0] * padding, np.int64),
            truncated=len(kept) < len(ids),
        )
