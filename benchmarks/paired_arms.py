# SPDX-License-Identifier: Apache-2.0
"""Two arms on the same scenes: how much one succeeds more often than the other, with an interval. As ``gr00t eval --compare``."""

from collections.abc import Mapping, Sequence
from typing import Any

from gr00t_sim.evaluate import DEFAULT_OUT
from gr00t_sim.evaluation.identity import identity_from_dict
from gr00t_sim.evaluation.paired import count_pairs, difference95, mcnemar_p
from gr00t_sim.evaluation.result_folder import is_result_folder, read_results


def solved_seeds(score: Mapping[str, Any], task: str, language: str, episodes: int) -> list[int] | None:
    """Seeds of the scenes that were solved, from the episodes that ``gr00t eval`` keeps below ``out/eval``.

    score: what it wrote with --json. None when not all of its episodes are there (any more). Raises EvaluationError.
    """
    try:
        folder = DEFAULT_OUT / identity_from_dict(dict(score)).folder_name
    except (KeyError, TypeError):  # scores of an older form, which have another folder
        return None
    if not is_result_folder(folder):
        return None
    _, results = read_results(folder)
    seeds = range(score["seed"], score["seed"] + episodes)
    ends = {
        key.seed: result.outcome.success
        for key, result in results.items()
        if (key.task, key.language) == (task, language) and key.seed in seeds
    }
    return [seed for seed in seeds if ends[seed]] if len(ends) == episodes else None


def difference(
    less: Mapping[str, Any], row: Mapping[str, Any], languages: tuple[str, str] = ("own", "own")
) -> dict[str, Any] | None:
    """Success of ``row`` less that of ``less`` over the scenes of all tasks that both have, rates from -1 to 1.

    languages: the sentences that ``less`` and ``row`` are judged with. Gives scenes, only_less, only_arm (solved by one of
    them alone), difference, difference95 (Newcombe's method 10), mcnemar_p (exact, two-sided); None when it is not known
    which scenes were solved. The interval is that of other scenes; each arm is one training.
    """
    ends: list[tuple[bool, bool]] = []
    for task in less["tasks"]:
        pair = [side["tasks"].get(task, {}).get(said) for side, said in zip((less, row), languages, strict=True)]
        if None in pair:
            continue
        if any(entry.get("solved") is None for entry in pair):
            return None
        seeds = set.intersection(
            *(set(range(entry["first_seed"], entry["first_seed"] + entry["episodes"])) for entry in pair)
        )
        ends += [(seed in pair[0]["solved"], seed in pair[1]["solved"]) for seed in sorted(seeds)]
    if not ends:
        return None
    pairs = count_pairs(ends)
    return {
        "scenes": pairs.scenes,
        "only_less": pairs.only_a,
        "only_arm": pairs.only_b,
        "difference": pairs.difference,
        "difference95": [round(value, 4) for value in difference95(pairs)],
        "mcnemar_p": round(mcnemar_p(pairs), 6),
    }


def differences(rows: Sequence[Mapping[str, Any]], against: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Of every (arm, arm that is taken from it) whose rows are there and whose scenes are known."""
    by_name = {row["arm"]: row for row in rows}
    found = []
    for arm, less in against:
        if arm in by_name and less in by_name and (figures := difference(by_name[less], by_name[arm])) is not None:
            found.append({"arm": arm, "less": less, **figures})
    return found


def words(figures: Mapping[str, Any] | None) -> str:
    """A difference in points with its interval."""
    if figures is None:
        return "no interval: it is not known which scenes were solved (out/eval has not all episodes)"
    low, high = figures["difference95"]
    return (
        f"{100 * figures['difference']:+.1f} points (95 % {100 * low:+.1f} to {100 * high:+.1f}, "
        f"p = {figures['mcnemar_p']:.2g}, {figures['scenes']} scenes)"
    )


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """Differences as Markdown; '' when there are none."""
    if not found:
        return ""
    lines = ["| arm | less | points | 95 % | alone: arm, other | p | scenes |", "|---|---|---|---|---|---|---|"]
    for one in found:
        low, high = one["difference95"]
        lines.append(
            f"| {one['arm']} | {one['less']} | {100 * one['difference']:+.1f} | {100 * low:+.1f} to {100 * high:+.1f} | "
            f"{one['only_arm']}, {one['only_less']} | {one['mcnemar_p']:.2g} | {one['scenes']} |"
        )
    return "\n".join([*lines, "", "Same scenes for both; an interval is that of other scenes, not of other trainings."])
