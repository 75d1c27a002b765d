# SPDX-License-Identifier: Apache-2.0
"""Whether ``meta/info.json`` counts what is there. Ours refuse wrong episodes and frames, and never read the rest."""

import re
from collections.abc import Iterator
from typing import Any

from gr00t_bringup.dataset_check.data_finding import DataFinding
from gr00t_policy.data.dataset import LeRobotDataset
from gr00t_policy.data.json_file import shown


def totals_findings(dataset: LeRobotDataset) -> Iterator[DataFinding]:
    """One warning with all that is wrong. What is not said is not wrong."""
    info, episodes = dataset.info, len(dataset.episodes)
    right = {
        "total_tasks": len(dataset.tasks),
        "total_videos": episodes * len(dataset.cameras),
        "total_chunks": -(-episodes // dataset.layout.chunks_size),
    }
    said = {name: info[name] for name in right if name in info}
    listed = sum(feature["dtype"] == "video" for feature in info["features"].values())
    if said.get("total_videos") == episodes * listed:  # modality.json need not name all of them
        right["total_videos"] = said["total_videos"]
    wrong = [
        f"{name} is {shown(value)}, there are {right[name]}" for name, value in said.items() if value != right[name]
    ]
    splits = info.get("splits")
    if splits is not None and not _are_within(splits, episodes):
        wrong.append(f"splits are {shown(splits)} of {episodes} episodes")
    if wrong:
        yield DataFinding(
            "warning", "totals", "; ".join(wrong), "correct them: other readers may go by them", column="meta/info.json"
        )


def _are_within(splits: Any, episodes: int) -> bool:
    """Whether these are names, each with a range of episodes such as "0:5"."""
    if not isinstance(splits, dict):
        return False
    ranges = [re.fullmatch(r"(\d{1,9}):(\d{1,9})", value) for value in splits.values() if isinstance(value, str)]
    return len(ranges) == len(splits) and all(
        match is not None and int(match[1]) <= int(match[2]) <= episodes for match in ranges
    )
