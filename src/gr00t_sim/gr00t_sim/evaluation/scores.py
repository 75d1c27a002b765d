# SPDX-License-Identifier: Apache-2.0
"""Success rates of episodes with their intervals: per task, sentence, object and stage, and the average over tasks."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from gr00t_sim.evaluation.episode import EpisodeResult
from gr00t_sim.interval import wilson95
from gr00t_sim.rollout import PERIOD_S

_STAGES = 5  # equal bands of the referee's progress; success is a stage of its own


def summarise(tasks: Sequence[str], results: Sequence[EpisodeResult]) -> dict[str, Any]:
    """tasks.<name>.{success_rate, successes, episodes, wilson95, per_object, per_stage, mean_seconds_to_success, other,
    empty}; average_success over tasks with average95. The scene's own sentence stands at a task's top.
    """
    scores = {task: _task_score([result for result in results if result.key.task == task]) for task in tasks}
    own = [entry for entry in scores.values() if entry.get("episodes")]
    rates = [entry["success_rate"] for entry in own]
    return {
        "tasks": scores,
        "average_success": float(np.mean(rates)) if rates else None,
        "average95": average95([(entry["successes"], entry["episodes"]) for entry in own]),
    }


def average95(counts: Sequence[tuple[int, int]]) -> list[float] | None:
    """95 % interval of the mean rate of independent tasks, from (successes, episodes) of each; None without any.

    Recovered from the tasks' Wilson intervals (MOVER: Zou and Donner, Statistics in Medicine 27, 2008).
    """
    if not counts:
        return None
    rates = np.array([successes / episodes for successes, episodes in counts])
    low, high = np.array([wilson95(*count) for count in counts]).T
    below = np.sqrt(((rates - low) ** 2).sum()) / len(rates)
    above = np.sqrt(((high - rates) ** 2).sum()) / len(rates)
    return [round(float(value), 4) for value in (rates.mean() - below, rates.mean() + above)]


def _task_score(results: Sequence[EpisodeResult]) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    if own := [result for result in results if result.key.language == "own"]:
        outcomes = [result.outcome for result in own]
        entry |= _score(own)
        entry["per_object"] = {
            kind: _score([result for result in own if result.outcome.goal_object == kind])
            for kind in sorted({outcome.goal_object for outcome in outcomes})
        }
        entry["per_stage"] = stages(own)
        seconds = [PERIOD_S * outcome.steps for outcome in outcomes if outcome.success]
        entry["mean_seconds_to_success"] = round(float(np.mean(seconds)), 2) if seconds else None
    for language in ("other", "empty"):
        if said := [result for result in results if result.key.language == language]:
            entry[language] = _score(said) | {"per_stage": stages(said)}
    return entry


def stages(results: Sequence[EpisodeResult]) -> list[dict[str, Any]]:
    """How far episodes came, by the best progress (0 to 1) that the referee saw; only stages that occurred.

    Each {stage, from, to, episodes, share, said}; said: the referee's commonest words at that best moment, numbers as N.
    The last one, 'success', has from = to = 1.
    """
    found: dict[int, list[EpisodeResult]] = {}
    for result in results:
        band = _STAGES if result.outcome.success else min(_STAGES - 1, int(result.outcome.progress * _STAGES + 1e-9))
        found.setdefault(band, []).append(result)
    return [
        {
            "stage": "success" if band == _STAGES else f"progress {band / _STAGES:.1f} to {(band + 1) / _STAGES:.1f}",
            "from": band / _STAGES,
            "to": min(1.0, (band + 1) / _STAGES),
            "episodes": len(there),
            "share": len(there) / len(results),
            "said": _commonest([result.outcome.best_detail for result in there]),
        }
        for band, there in sorted(found.items())
    ]


def _commonest(texts: Sequence[str]) -> str:
    counts = Counter(re.sub(r"\d+(\.\d+)?", "N", text) for text in texts)
    return min(counts, key=lambda text: (-counts[text], text))


def _score(results: Sequence[EpisodeResult]) -> dict[str, Any]:
    count, total = sum(result.outcome.success for result in results), len(results)
    return {
        "success_rate": count / total if total else None,
        "successes": count,
        "episodes": total,
        "wilson95": [round(value, 4) for value in wilson95(count, total)],
    }
