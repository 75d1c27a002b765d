# SPDX-License-Identifier: Apache-2.0
"""Two sets of results put beside each other, scene by scene."""

from collections.abc import Mapping, Sequence
from typing import Any

from gr00t_sim.evaluation.episode import EpisodeKey, EpisodeResult, EvaluationError
from gr00t_sim.evaluation.paired import count_pairs, difference95, mcnemar_p

Results = Mapping[EpisodeKey, EpisodeResult]
ALL = "all tasks"


def shared_keys(a: Results, b: Results) -> list[EpisodeKey]:
    """Episodes that both ran, in order. Raises EvaluationError when there are none, naming what each has."""
    shared = sorted(set(a) & set(b))
    if not shared:
        raise EvaluationError(
            f"A and B share no episode (same task, sentence and seed): A has {_range(a)}; B has {_range(b)}; "
            "evaluate both on the same tasks, --seed and --episodes"
        )
    return shared


def compare(a: Results, b: Results) -> dict[str, Any]:
    """languages.<own, other, empty>.{tasks.<name>, all}: each a comparison of success on the episodes that both ran.

    A comparison: scenes, both, only_a, only_b, neither, success_a, success_b, difference (B less A), difference95
    (Newcombe's method 10), mcnemar_p (exact, two-sided), seeds_only_a, seeds_only_b. Raises EvaluationError.
    """
    shared = shared_keys(a, b)
    languages: dict[str, Any] = {}
    for language in sorted({key.language for key in shared}, key=("own", "other", "empty").index):
        keys = [key for key in shared if key.language == language]
        tasks = {
            task: _compared([key for key in keys if key.task == task], a, b) | _seeds(keys, task, a, b)
            for task in dict.fromkeys(key.task for key in keys)
        }
        languages[language] = {"tasks": tasks, "all": _compared(keys, a, b)}
    return {"shared_episodes": len(shared), "only_in_a": len(set(a) - set(b)), "only_in_b": len(set(b) - set(a))} | {
        "languages": languages
    }


def _compared(keys: Sequence[EpisodeKey], a: Results, b: Results) -> dict[str, Any]:
    pairs = count_pairs((a[key].outcome.success, b[key].outcome.success) for key in keys)
    return {
        "scenes": pairs.scenes,
        "both": pairs.both,
        "only_a": pairs.only_a,
        "only_b": pairs.only_b,
        "neither": pairs.neither,
        "success_a": pairs.rate_a,
        "success_b": pairs.rate_b,
        "difference": pairs.difference,
        "difference95": [round(value, 4) for value in difference95(pairs)],
        "mcnemar_p": round(mcnemar_p(pairs), 6),
    }


def _seeds(keys: Sequence[EpisodeKey], task: str, a: Results, b: Results) -> dict[str, list[int]]:
    """Where the two differ: the scenes to look at."""
    differ = [key for key in keys if key.task == task and a[key].outcome.success != b[key].outcome.success]
    return {
        "seeds_only_a": [key.seed for key in differ if a[key].outcome.success],
        "seeds_only_b": [key.seed for key in differ if b[key].outcome.success],
    }


def _range(results: Results) -> str:
    if not results:
        return "no episode"
    tasks = ", ".join(sorted({key.task for key in results}))
    seeds = [key.seed for key in results]
    languages = ", ".join(sorted({key.language for key in results}))
    return f"{tasks} with sentences {languages}, seeds {min(seeds)} to {max(seeds)}"
