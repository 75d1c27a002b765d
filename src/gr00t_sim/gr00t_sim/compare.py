# SPDX-License-Identifier: Apache-2.0
"""``gr00t eval --compare A B``: is B better than A, on the same scenes? Checkpoints, or folders of results."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from gr00t_policy.data.durable import write_json
from gr00t_sim.evaluate import DEFAULT_OUT
from gr00t_sim.evaluation.comparison import Results, compare, shared_keys
from gr00t_sim.evaluation.comparison_report import draw_comparison, print_comparison
from gr00t_sim.evaluation.identity import Identity, identity_of, identity_to_dict
from gr00t_sim.evaluation.measure import run_missing
from gr00t_sim.evaluation.options import EpisodeOptions
from gr00t_sim.evaluation.result_folder import is_result_folder, open_results, read_results, writing


@dataclass(frozen=True, kw_only=True)
class CompareConfig(EpisodeOptions):
    """What to compare. The options of episodes are for checkpoints; of a folder of results all that is in it counts."""

    compare: tuple[Path, Path]
    """A and B: checkpoint folders, which are evaluated as far as that was not done yet, or folders of results."""
    out: Path = Path("out/compare")
    """Folder for comparison.json and comparison.png."""
    json: Path | None = None
    """Write the figures here too."""


def run(config: CompareConfig) -> int:
    """Evaluate what is missing, pair, print, write JSON and picture. Returns the exit code. Raises Gr00tError."""
    console = Console()
    (identity_a, a), (identity_b, b) = (_results(folder, config, console) for folder in config.compare)
    shared_keys(a, b)
    result: dict[str, Any] = {
        "a": identity_to_dict(identity_a) | {"given": str(config.compare[0])},
        "b": identity_to_dict(identity_b) | {"given": str(config.compare[1])},
        "differences": identity_a.differences(identity_b),
        **compare(a, b),
    }
    _say_what_is_compared(result, console)
    print_comparison(result, console)
    with writing(config.out):
        write_json(config.out / "comparison.json", result)
        draw_comparison(result, config.out / "comparison.png")
    if config.json is not None:
        with writing(config.json):
            write_json(config.json, result)
    for name in ("comparison.json", "comparison.png"):
        console.print(str(config.out / name), soft_wrap=True)
    return 0


def _results(folder: Path, config: CompareConfig, console: Console) -> tuple[Identity, Results]:
    if is_result_folder(folder):
        return read_results(folder)
    identity = identity_of(folder, config.settings)
    keys = config.keys()
    with open_results(DEFAULT_OUT / identity.folder_name, identity) as results:
        run_missing(results, folder, keys, config.workers, console)
        return identity, {key: results.results[key] for key in keys}


def _say_what_is_compared(result: dict[str, Any], console: Console) -> None:
    for name in ("a", "b"):
        side = result[name]
        console.print(f"{name.upper()}: {side['given']} ({side['checkpoint_hash'][:12]})", soft_wrap=True)
    console.print(
        f"{result['shared_episodes']} episodes in both; only in A: {result['only_in_a']}, only in B: {result['only_in_b']}"
    )
    others = [f"{name}: {a} in A, {b} in B" for name, (a, b) in result["differences"].items() if name != "checkpoint"]
    if others:
        console.print(f"they differ in more than the checkpoint: {'; '.join(others)}", soft_wrap=True)
