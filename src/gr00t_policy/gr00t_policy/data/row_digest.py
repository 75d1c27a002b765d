# SPDX-License-Identifier: Apache-2.0
"""What the rows of some episodes teach as one number, by which data that were changed in place are known."""

import hashlib
import json
from collections.abc import Iterable

import numpy as np

from gr00t_policy.data.grounding import GOAL_UV
from gr00t_policy.data.reader import Episode
from gr00t_policy.data.valid_rows import valid_rows


def rows_digest(episodes: Iterable[Episode]) -> str:
    """SHA-256 of joint states, actions, sentences, marks of validity and labels, in this order of the episodes.

    Survives a copy, a move and another compression. Other columns, pictures and times are not in it.
    """
    digest = hashlib.sha256()
    for episode in episodes:
        digest.update(json.dumps([episode.states.shape, episode.actions.shape, episode.sentences]).encode())
        for rows in (episode.states, episode.actions, valid_rows(episode), episode.extras.get(GOAL_UV, np.zeros(0))):
            digest.update(np.ascontiguousarray(rows, np.float32).tobytes())
    return digest.hexdigest()
