# SPDX-License-Identifier: Apache-2.0
"""Which weights in the head belong to which robot: of one robot that is tuned for, and of several trained together."""

from collections.abc import Sequence
from dataclasses import replace

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.config import ModelConfig

NEW_ROBOT = "new_embodiment"  # the slot that GR00T N1 keeps for robots it does not know


def with_slot(config: ModelConfig, robot: str, slot: str = "") -> ModelConfig:
    """The network with a weight slot for ``robot``: that of embodiment ``slot``, its own, or the one for new robots.

    Raises ConfigError naming the slots there are.
    """
    name = slot or (robot if robot in config.embodiment_slots else NEW_ROBOT)
    return replace(config, embodiment_slots={**config.embodiment_slots, robot: config.slot(name)})


def with_slots(config: ModelConfig, robots: Sequence[Embodiment]) -> ModelConfig:
    """The network with a slot of its own for each robot's tag: the one it has, its projector index, or the first free one.

    The slot for new robots stays free for them. Raises ConfigError when there are more tags than slots.
    """
    slots = dict(config.embodiment_slots)
    for robot in robots:
        if robot.tag in slots:
            continue
        free = [slot for slot in range(config.head.embodiments) if slot not in slots.values()]
        if not free:
            raise ConfigError(
                f"the head has {config.head.embodiments} weight slots, taken by {', '.join(slots)}; none is left for "
                f"'{robot.tag}': train fewer robots together, or a larger network"
            )
        slots[robot.tag] = robot.projector_index if robot.projector_index in free else free[0]
    return replace(config, embodiment_slots=slots)
