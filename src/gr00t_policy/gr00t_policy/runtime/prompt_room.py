# SPDX-License-Identifier: Apache-2.0
"""One length for prompts of every length, for what needs fixed shapes: padded on the right, and what is padding is masked.

Nothing that is real changes: positions count from the left, and no real token looks at padding.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from gr00t_policy.model.checkpoint import Checkpoint

# Tokens for a sentence, beyond those of an empty one: about so many words. Until some hundred tokens the language model's
# weights take longer to read than to multiply on every GPU that we know of, so that room for a long sentence costs nothing.
TEXT_ROOM = 64
_MULTIPLE = 16  # of the padded length, as matrix kernels like it


def prompt_room(checkpoint: "Checkpoint", text: int = TEXT_ROOM) -> int:
    """Tokens of a padded prompt: those of a fixed instruction window, else those of an empty sentence and at least ``text``."""
    config, views = checkpoint.config, len(checkpoint.embodiment.cameras)
    if config.instruction_tokens:
        return config.prompt_length(views)
    return -(-(len(checkpoint.prompt.encode("", views).input_ids) + text) // _MULTIPLE) * _MULTIPLE


def padded_to(values: NDArray, room: int, filling: int = 0) -> NDArray:
    """(1, S) or (1, S, D) with S <= room -> (1, room) or (1, room, D)."""
    missing = room - values.shape[1]
    if missing == 0:
        return values
    beyond = np.full((1, missing, *values.shape[2:]), filling, values.dtype)
    return np.concatenate([values, beyond], axis=1)
