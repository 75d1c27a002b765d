# SPDX-License-Identifier: Apache-2.0
"""Statistics of a mixture: of each dataset, and merged for each embodiment tag by the shares in which they are drawn.

Rules of GR00T N1.5: mean and variance are those of the mixture, minimum and maximum the outermost, q01 and q99 averaged
by weight or the outermost.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.dataset_statistics import statistics_of
from gr00t_policy.data.key_statistics import KeyStatistics
from gr00t_policy.data.mixture import Mixture
from gr00t_policy.data.statistics import Statistics


def mixture_statistics(mixture: Mixture) -> tuple[dict[str, Statistics], dict[str, Statistics]]:
    """(name of the dataset -> its statistics, embodiment tag -> merged ones). Reads every row that is not held out."""
    own = {part.entry.name: statistics_of([part.dataset], part.tag, part.entry.hold_out) for part in mixture.parts}
    shares = {part.entry.name: float(share) for part, share in zip(mixture.parts, mixture.shares, strict=True)}
    merged = {}
    for tag in mixture.tags:
        names = [part.entry.name for part in mixture.parts if part.tag == tag]
        of_tag = {name: own[name] for name in names}
        merged[tag] = merge_statistics(of_tag, shares, mixture.config.percentile_mixing_method)
    return own, merged


def merge_statistics(
    statistics: Mapping[str, Statistics], weights: Mapping[str, float], percentiles: str = "weighted_average"
) -> Statistics:
    """One for all datasets of a tag, group by group over those that have it. Datasets of weight 0 widen min and max only.

    Raises DatasetError when a group differs in width or in what its values are.
    """
    first = next(iter(statistics.values()))
    sides: dict[str, dict[str, KeyStatistics]] = {}
    for side in ("state", "action"):
        groups = dict.fromkeys(group for item in statistics.values() for group in getattr(item, side))
        sides[side] = {}
        for group in groups:
            having = {name: item for name, item in statistics.items() if group in getattr(item, side)}
            _require_alike(side, group, having)
            keys = [getattr(item, side)[group] for item in having.values()]
            sides[side][group] = merge_keys(keys, [weights[name] for name in having], percentiles)
    video = {
        camera: modality for item in reversed(list(statistics.values())) for camera, modality in item.video.items()
    }
    kinds = {
        side: {group: item.kind(side, group) for item in statistics.values() for group in getattr(item, side)}
        for side in sides
    }
    return Statistics(first.embodiment_tag, sides["state"], sides["action"], video, kinds)


def merge_keys(keys: Sequence[KeyStatistics], weights: Sequence[float], percentiles: str) -> KeyStatistics:
    """weights: relative; all 0 counts as all alike."""
    shares = np.asarray(weights, np.float64)
    shares = shares / shares.sum() if shares.sum() > 0 else np.full(len(keys), 1 / len(keys))

    def mixed(values: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        return np.asarray(shares @ np.stack(values))

    mean = mixed([key.mean for key in keys])
    variance = mixed([key.std**2 + (key.mean - mean) ** 2 for key in keys])
    averaged = percentiles == "weighted_average"
    return KeyStatistics(
        min=np.min([key.min for key in keys], axis=0),
        max=np.max([key.max for key in keys], axis=0),
        mean=mean,
        std=np.sqrt(variance),
        q01=mixed([key.q01 for key in keys]) if averaged else np.min([key.q01 for key in keys], axis=0),
        q99=mixed([key.q99 for key in keys]) if averaged else np.max([key.q99 for key in keys], axis=0),
    )


def _require_alike(side: str, group: str, having: Mapping[str, Statistics]) -> None:
    described = {name: (len(getattr(item, side)[group].min), item.kind(side, group)) for name, item in having.items()}
    (one, first), *others = described.items()
    for name, given in others:
        if given != first:
            raise DatasetError(
                f"{side}.{group} is {first[0]} values, {first[1]} in dataset '{one}', but {given[0]}, {given[1]} in "
                f"'{name}'; one embodiment tag has one meaning: convert one of them or give it another tag"
            )
