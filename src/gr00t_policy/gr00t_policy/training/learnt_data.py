# SPDX-License-Identifier: Apache-2.0
"""What a training card says of the datasets that were learnt from, and what it says of one dataset."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from gr00t_policy.data.reader import LeRobotDataset

_DATASETS, _FINGERPRINT = "datasets", "fingerprint"


def learnt_entry(dataset: LeRobotDataset, held_out: Iterable[int] = (), name: str = "") -> dict[str, Any]:
    """One of the card's ``datasets``. name: by default that of its folder."""
    left_out = list(held_out)
    learnt = [entry for entry in dataset.episodes if entry.index not in left_out]
    return {
        "name": name or dataset.layout.root.name,
        "episodes": len(learnt),
        "frames": sum(entry.length for entry in learnt),
        "held_out": left_out,
        _FINGERPRINT: dataset.fingerprint,
    }


def held_out_of(
    card: Mapping[str, Any], dataset: LeRobotDataset, episodes: Iterable[int]
) -> tuple[bool | None, Literal["fingerprint", "name"] | None]:
    """Whether none of these episodes was learnt from, and what the dataset was known by; None where the card says nothing of it.

    Of cards from before there were fingerprints, and of data given to them by people, there is the name alone: a guess, since
    datasets in other places have the same. The card speaks of its own run, not of the checkpoint that the run began from.
    """
    said = _said(card)
    known_by: Literal["fingerprint", "name"] = "fingerprint"
    found = [entry for entry in said if entry.get(_FINGERPRINT) == dataset.fingerprint]
    if not found:
        known_by = "name"
        found = [entry for entry in said if _FINGERPRINT not in entry and entry.get("name") == dataset.layout.root.name]
    if not found:
        return None, None
    return all(set(episodes) <= set(entry.get("held_out", ())) for entry in found), known_by


def _said(card: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The card's datasets; fine-tuning once wrote its only one in another form."""
    if _DATASETS not in card and "dataset" in card:
        return [{"name": card["dataset"], "held_out": card.get("held_out", ())}]
    entries = card.get(_DATASETS)
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
