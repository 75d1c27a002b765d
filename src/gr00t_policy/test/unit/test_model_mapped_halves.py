# SPDX-License-Identifier: Apache-2.0
"""Loading maps the weight file: a half is the file's own pages, and of the other half nothing is read or copied."""

import shutil
from pathlib import Path

import pytest
import torch
from released_folder import write_release_folder
from safetensors.torch import load_file, save_file

from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.model.weight_files import open_weight_files

torch.set_num_threads(1)
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release_folder(tmp_path_factory.mktemp("models") / "n1")


def mapped(path: Path) -> tuple[list[range], dict[str, int]]:
    """Where this process has the file in its memory: addresses, and kB by kind (Rss: pages that were touched) in all."""
    places: list[range] = []
    sizes = {"Rss": 0, "Private_Dirty": 0}
    within = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        head, *rest = line.split()
        if head.endswith(":"):
            if within and head[:-1] in sizes:
                sizes[head[:-1]] += int(rest[0])
        else:
            within = line.endswith(str(path))
            if within:
                begin, end = (int(number, 16) for number in head.split("-"))
                places.append(range(begin, end))
    return places, sizes


@pytest.mark.parametrize(("half", "other"), [("load_head", "backbone."), ("load_backbone", "action_head.")])
def test_a_half_is_the_files_own_pages_and_of_the_other_half_none_is_touched(
    released: Path, tmp_path: Path, half: str, other: str
) -> None:
    """The other half is made large, so that a touch of it would show beside the pages that the kernel maps unasked."""
    path = Path(shutil.copytree(released, tmp_path / "n1")) / WEIGHTS
    save_file(load_file(path) | {f"{other}ballast": torch.zeros(6_000_000)}, path)
    loaded = getattr(load_checkpoint(path.parent), half)()
    places, kilobytes = mapped(path)
    stored = open_weight_files(path.parent).tensors[path]
    used = sum(tensor.size for key, tensor in stored.items() if not key.startswith(other)) / 1024
    assert sum(map(len, places)) > 24e6, "the whole file is mapped"
    assert 0 < kilobytes["Rss"] < used + 4096
    assert kilobytes["Private_Dirty"] == 0, "no page was copied to be written to"
    copied = [
        name for name, value in loaded.named_parameters() if not any(value.data_ptr() in place for place in places)
    ]
    assert copied == [], "the weights, and the rows of the robot's slot, are the mapped file"
