# SPDX-License-Identifier: Apache-2.0
"""What the training of an arm took, read from the training cards of the checkpoints that its commands leave."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

NUMBERS = ("steps", "action_steps", "pictures", "minutes")


def trainings(commands: Iterable[Sequence[str]], folder: Path) -> list[dict[str, Any]]:
    """Of every ``train`` among the commands, once: its run (seen from ``folder``), optimiser steps, those of them that
    learn actions, pictures drawn (with repetition, of demonstrations and still scenes), minutes on the clock.
    """
    runs = dict.fromkeys(Path(command[command.index("--out") + 1]) for command in commands if command[0] == "train")
    return [{"run": _seen_from(run, folder), **_taken(run / "checkpoint" / "training_card.json")} for run in runs]


def together(parts: Iterable[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The trainings of several arms, each once: a network that several start from was trained once."""
    return list({one["run"]: one for part in parts for one in part}.values())


def summed(entries: Sequence[dict[str, Any]]) -> dict[str, float]:
    return {name: sum(entry[name] for entry in entries) for name in NUMBERS}


def _taken(card_file: Path) -> dict[str, Any]:
    card = json.loads(card_file.read_text())
    # Diffusion Policy has no stages: all its steps are alike and learn actions.
    stages: Iterable[dict[str, int]] = card["stages"].values() if "stages" in card else [card["config"]]
    steps = action_steps = pictures = 0
    for stage in stages:
        demonstrations = stage["images_per_step"]
        steps += stage["steps"]
        action_steps += stage["steps"] if demonstrations else 0
        pictures += stage["steps"] * (demonstrations + stage.get("looks_per_step", 0) + stage.get("scenes_per_step", 0))
    return {"steps": steps, "action_steps": action_steps, "pictures": pictures, "minutes": card["minutes"]}


def _seen_from(run: Path, folder: Path) -> str:
    return str(run.relative_to(folder)) if run.is_relative_to(folder) else str(run)
