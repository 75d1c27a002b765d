# SPDX-License-Identifier: Apache-2.0
"""What a policy needs to know of a checkpoint, whatever network is in it: ours, as released, or a baseline's."""

from typing import Protocol

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.data.statistics import Statistics
from gr00t_policy.model.tokenizer import PromptTokenizer


class ServedVision(Protocol):
    @property
    def image_size(self) -> int: ...


class ServedHead(Protocol):
    """Widths of what goes through the head: state, actions over the horizon, features."""

    @property
    def state_dim(self) -> int: ...

    @property
    def action_dim(self) -> int: ...

    @property
    def horizon(self) -> int: ...

    @property
    def cross_dim(self) -> int: ...


class ServedConfig(Protocol):
    """The network's sizes, as in ``ModelConfig``."""

    @property
    def vision(self) -> ServedVision: ...

    @property
    def head(self) -> ServedHead: ...

    @property
    def crop_fraction(self) -> float: ...

    @property
    def published(self) -> bool: ...

    @property
    def attends_to_tokens(self) -> bool: ...


class ServedCheckpoint(Protocol):
    """As ``Checkpoint``, without its weights."""

    @property
    def config(self) -> ServedConfig: ...

    @property
    def embodiment(self) -> Embodiment: ...

    @property
    def statistics(self) -> Statistics: ...

    @property
    def prompt(self) -> PromptTokenizer: ...

    @property
    def hash(self) -> str: ...
