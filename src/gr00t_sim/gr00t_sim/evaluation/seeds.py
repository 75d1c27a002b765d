# SPDX-License-Identifier: Apache-2.0
"""The scenes that are kept for evaluation: whoever makes or records something to train on asks here first."""

from gr00t_policy.core.errors import ConfigError

# What published numbers are measured on: nothing that is trained on may show these scenes.
EVALUATION_SEEDS = range(10000, 10100)


def require_trainable(first: int, count: int) -> None:
    """Raises ConfigError when any of ``count`` scenes from seed ``first`` on is kept for evaluation, or there is none such."""
    require_seed(first)
    kept = EVALUATION_SEEDS
    if first < kept.stop and first + count > kept.start:
        raise ConfigError(
            f"seeds {first} to {first + count - 1} include some of {kept.start} to {kept.stop - 1}, which are for "
            f"evaluation: a policy must not have seen those scenes; use --seed below {kept.start}, or {kept.stop} and more"
        )


def require_seed(first: int) -> None:
    """Raises ConfigError when no scene has this seed."""
    if first < 0:
        raise ConfigError(f"scenes are numbered from 0 up, and --seed is {first}")


def tries_before_evaluation(first: int, most: int) -> int:
    """Scenes to try at most, from seed ``first`` on, which is none of the evaluation's: where those begin, no more."""
    before = EVALUATION_SEEDS.start - first
    return min(most, before) if before > 0 else most


def scene_seed(first: int, number: int) -> int:
    """Seed of scene ``number`` of a row that begins with seed ``first``; it passes over the evaluation's, if it did not begin
    in them."""
    seed = first + number
    return seed + len(EVALUATION_SEEDS) if first < EVALUATION_SEEDS.start <= seed else seed
