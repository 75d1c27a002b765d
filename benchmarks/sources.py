# SPDX-License-Identifier: Apache-2.0
"""What the scores of an experiment were made with, as they say themselves, and whether that is one thing for all rows."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FIELDS = ("checkpoint", "checkpoint_hash", "code", "revision")
_SHOWN = 12  # characters of a hash or a commit that are shown


def source_of(score: Mapping[str, Any]) -> dict[str, str]:
    """Checkpoint and its hash, hash of simulator and policy, commit; '' where the scores do not say it."""
    return {name: str(score.get(name, "")) for name in FIELDS}


def forget_other_checkpoint(scores: Path, checkpoint_hash: str) -> bool:
    """Delete scores that are not of the checkpoint with this hash, and say so. Returns whether there were such."""
    if not scores.is_file():
        return False
    there = str(json.loads(scores.read_text()).get("checkpoint_hash", ""))
    if there == checkpoint_hash:
        return False
    print(
        f"{scores} is of another checkpoint ({there[:_SHOWN] or 'which one is not said'} there, "
        f"{checkpoint_hash[:_SHOWN]} now): evaluated again",
        flush=True,
    )
    scores.unlink()
    return True


def commits_of(commands: Sequence[Sequence[str]], done: Sequence[Mapping[str, Any]]) -> list[str]:
    """Commits at which the commands ran, from the entries of ``done.jsonl``, the last run of each; '' where it is not said."""
    ran = {tuple(entry["command"]): str(entry.get("revision", "")) for entry in done}
    return sorted({ran[tuple(command)] for command in commands if tuple(command) in ran})


def remark(rows: Sequence[Mapping[str, Any]], code_now: str) -> str:
    """One line on what the rows were made with: the one code and commit, or what differs and in which arms; '' if unknown."""
    sources = [(row["arm"], source) for row in rows for source in row.get("sources", {}).values()]
    if not sources:
        return ""
    codes: dict[str, list[str]] = {}
    hashes: dict[str, set[str]] = {}
    for arm, source in sources:
        codes.setdefault(source["code"], []).append(arm)
        hashes.setdefault(source["checkpoint"], set()).add(source["checkpoint_hash"])
    said = []
    if len(codes) > 1:
        parts = (f"{_short(code)} ({'; '.join(dict.fromkeys(arms))})" for code, arms in codes.items())
        said.append(f"scores are of different code of simulator and policy: {', '.join(parts)}")
    elif code_now not in codes:
        said.append(f"scores are of code {_short(*codes)}, which is not that of now, {_short(code_now)}")
    for checkpoint, found in hashes.items():
        if len(found) > 1:
            said.append(f"{checkpoint} was {len(found)} different checkpoints: {', '.join(map(_short, sorted(found)))}")
    if len(commits := sorted({commit for row in rows for commit in row.get("commits", ())})) > 1:
        said.append(f"data and trainings are of different commits: {', '.join(map(_short, commits))}")
    if said:
        return f"**Not of one make**: {'. '.join(said)}. To evaluate again, delete the folder `scores`."
    revisions = sorted({source["revision"] for _, source in sources})
    return f"All scores are of code {_short(*codes)}, commit {', '.join(map(_short, revisions))}."


def _short(name: str) -> str:
    """A hash or commit as it is shown; that files differed from the commit stays visible."""
    dirty = "-dirty" if name.endswith("-dirty") else ""
    return name.removesuffix("-dirty")[:_SHOWN] + dirty if name else "not said"
