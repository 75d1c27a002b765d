# SPDX-License-Identifier: Apache-2.0
"""A verb that writes into --out deletes there what it writes itself, and nothing of anybody else."""

from pathlib import Path

import pytest

from gr00t_bringup.bench import convert, loop, operator, record, teleop, tokens
from gr00t_bringup.cli import main
from gr00t_bringup.fresh_folder import fresh_folder
from gr00t_policy.core.errors import ConfigError

MINE = ("episode_0001/episode_0001_0.mcap", "dataset/meta/info.json", "train/last/model.safetensors", "notes.txt")


@pytest.fixture
def anybodys(tmp_path) -> Path:
    """A folder as ``out/`` is after some days of work."""
    for name in MINE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    return tmp_path


def gone(folder: Path) -> list[str]:
    return [name for name in MINE if not (folder / name).is_file()]


def test_only_what_is_named_goes_and_a_link_goes_without_what_it_leads_to(anybodys):
    (anybodys / "bag").mkdir()
    (anybodys / "bag" / "metadata.yaml").write_text("of the last run")
    (anybodys / "video.mp4").write_text("of the last run")
    (anybodys / "logs").symlink_to(anybodys / "train")
    assert fresh_folder(anybodys, ("bag", "logs", "video.mp4", "not_there")) == anybodys
    assert sorted(path.name for path in anybodys.iterdir()) == ["dataset", "episode_0001", "notes.txt", "train"]
    assert gone(anybodys) == []


def test_a_folder_that_is_not_there_is_no_error_and_is_not_made(tmp_path):
    assert not fresh_folder(tmp_path / "a" / "b", ("bag",)).exists()


@pytest.mark.parametrize(
    ("module", "config", "work"),
    [
        (loop, loop.LoopConfig, "_observe"),
        (record, record.RecordBenchConfig, "_record"),
        (teleop, teleop.TeleopBenchConfig, "_observe"),
        (tokens, tokens.TokenBenchConfig, "_measure"),
        (convert, convert.ConvertBenchConfig, "measure"),
        (operator, operator.OperatorBenchConfig, "_drive"),
    ],
    ids=lambda each: each.__name__.rpartition(".")[2] if hasattr(each, "__file__") else "",
)
def test_a_benchmark_leaves_what_others_have_in_its_folder(anybodys, monkeypatch, module, config, work):
    """Each deletes before it starts the nodes; where they would be started it ends here."""

    def nothing_starts(*_: object) -> None:
        raise ConfigError("the work would begin here")

    monkeypatch.setattr(module, work, nothing_starts)
    options = {"seconds": 2.0} if module is convert else {}
    with pytest.raises(ConfigError, match="would begin here"):
        module.run(config(out=anybodys, **options))
    assert gone(anybodys) == []


def test_the_benchmark_of_the_conversion_removes_its_own_at_the_end_and_nothing_else(anybodys):
    main(["bench", "convert", "--seconds", "2", "--out", str(anybodys)])
    assert gone(anybodys) == []
    assert sorted(path.name for path in anybodys.iterdir()) == ["dataset", "episode_0001", "notes.txt", "train"]
