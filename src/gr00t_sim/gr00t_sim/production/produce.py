# SPDX-License-Identifier: Apache-2.0
"""Seeds to episodes to one dataset in the order of the seeds: the same whichever worker does which, also after a kill."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gr00t_policy.core.errors import DatasetError
from gr00t_sim.generation_rate import Work, cpu_s
from gr00t_sim.jobs.runner import Runner
from gr00t_sim.production.outcome import SeedOutcome
from gr00t_sim.production.store import SeedStore, open_store


@dataclass(frozen=True)
class Order:
    """What is wanted: the first ``wanted`` seeds from ``first_seed`` up that give an episode, of at most ``most_tries``.

    made_with: all that an outcome depends on beside its seed; an unfinished order goes on only with the same. The dataset
    keeps it in meta/made_with.json, with first_seed and the number of episodes.
    untold: what unfinished orders of before were made with where they do not say it.
    if_too_few: what to do when most_tries were not enough.
    """

    title: str
    out: Path
    first_seed: int
    wanted: int
    most_tries: int
    made_with: dict[str, str]
    if_too_few: str
    untold: Mapping[str, str] = field(default_factory=dict)


def produce(order: Order, work: Callable[[int], SeedOutcome], run: Runner) -> tuple[Work, dict[str, Any]]:
    """Fill the order; returns what this run cost, and a summary of the whole order with it.

    ``work`` must depend on its seed alone.

    Raises DatasetError when ``out`` exists, too few seeds gave an episode or the disk is full; what was made is then kept
    for the next run.
    """
    if order.out.exists():
        raise DatasetError(f"{order.out} exists already; remove it or choose another --out")
    started, cpu_before_s = time.monotonic(), cpu_s()
    folder = order.out.with_name(f".{order.out.name}.shards")
    with open_store(folder, order.made_with, order.untold) as store:
        before = set(store.outcomes)
        _work_through(order, work, run, store)
        seeds = _Examined(order, store).seeds()
        kept = [seed for seed in seeds if store.outcomes[seed].kept]
        summary = _summary(order, [store.outcomes[seed] for seed in seeds])
        if len(kept) < order.wanted:
            reasons = ", ".join(f"{reason}: {count}" for reason, count in summary["failures"].items())
            raise DatasetError(
                f"only {len(kept)} of {order.wanted} episodes after {len(seeds)} scenes ({reasons}); "
                f"{order.if_too_few}; what was made is kept in {folder}"
            )
        made_with = {**order.made_with, "first_seed": order.first_seed, "episodes": order.wanted}
        dataset = store.merged(kept, order.out, made_with)
        new = [outcome for seed, outcome in store.outcomes.items() if seed not in before and outcome.tried]
    shutil.rmtree(folder)
    made = sum(seed not in before for seed in kept)
    cost = Work(made, len(new), time.monotonic() - started, cpu_s() - cpu_before_s)
    return cost, cost.as_dict() | summary | {"frames": dataset.num_frames}


def _work_through(order: Order, work: Callable[[int], SeedOutcome], run: Runner, store: SeedStore) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[tried]} tried"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as bar:
        row = bar.add_task(order.title, total=order.wanted, tried=0)
        examined = _Examined(order, store)

        def show() -> None:
            tried = len(examined.seeds())
            bar.update(row, completed=examined.kept, tried=tried)

        def finished(outcome: SeedOutcome) -> None:
            store.add(outcome)
            show()

        def died(seeds: Sequence[int]) -> None:
            bar.console.print(f"a worker died; seeds {', '.join(map(str, seeds))} are done again")

        show()
        run(_still_to_do(order, store, examined), work, finished, died)


class _Examined:
    """The seeds from the first up whose outcome is known, without a gap, up to the last one that is wanted.

    It ends at the first gap, so what is kept does not depend on which seed was done sooner.
    """

    def __init__(self, order: Order, store: SeedStore) -> None:
        self._order, self._store = order, store
        self._count = self.kept = 0

    def seeds(self) -> range:
        """Those known by now; ``kept`` of them gave an episode."""
        first = self._order.first_seed
        while self.kept < self._order.wanted and self._count < self._order.most_tries:
            outcome = self._store.outcomes.get(first + self._count)
            if outcome is None:
                break
            self._count += 1
            self.kept += outcome.kept
        return range(first, first + self._count)


def _still_to_do(order: Order, store: SeedStore, examined: _Examined) -> Iterator[int]:
    """Seeds without an outcome, in order, until enough is known. Asked only when there is somebody to do the next one."""
    for seed in range(order.first_seed, order.first_seed + order.most_tries):
        if seed not in store.outcomes:
            examined.seeds()
            if examined.kept >= order.wanted:
                return
            yield seed


def _summary(order: Order, outcomes: list[SeedOutcome]) -> dict[str, Any]:
    tried = [outcome for outcome in outcomes if outcome.tried]
    kept = sum(outcome.kept for outcome in tried)
    return {
        "episodes": kept,
        "attempts": len(tried),
        "acceptance_rate": round(kept / len(tried), 4) if tried else None,
        "failures": dict(Counter(outcome.reason for outcome in tried if not outcome.kept).most_common()),
        "failed_seeds": {
            str(outcome.seed): f"{outcome.reason}: {outcome.detail}" for outcome in tried if not outcome.kept
        },
        "passed_over": dict(Counter(outcome.reason for outcome in outcomes if not outcome.tried)),
        "first_seed": order.first_seed,
        "last_seed": outcomes[-1].seed if outcomes else None,
    }
