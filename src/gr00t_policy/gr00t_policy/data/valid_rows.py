# SPDX-License-Identifier: Apache-2.0
"""Which rows of an episode are to be imitated."""

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.data.reader import Episode

VALID = "valid"


def valid_rows(episode: Episode) -> NDArray[np.bool_]:
    """(N,) False where what was recorded is not to be imitated, as while a policy drove before the expert took over."""
    flags = episode.extras.get(VALID)
    return np.ones(len(episode), bool) if flags is None else np.asarray(flags).reshape(len(episode)) > 0.5
