# SPDX-License-Identifier: Apache-2.0
"""What many tests need. Property tests are judged by what they find, not by how long one example takes on a busy machine."""

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from gr00t_policy.model.checkpoint import Checkpoint

settings.register_profile("busy_machine", deadline=None, print_blob=True)
settings.load_profile("busy_machine")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> "Checkpoint":
    """A whole one of a few layers with random weights."""
    from small_checkpoint import save_small_checkpoint

    from gr00t_policy.model.checkpoint import load_checkpoint

    return load_checkpoint(save_small_checkpoint(tmp_path_factory.mktemp("models") / "small"))
