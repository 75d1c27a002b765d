# SPDX-License-Identifier: Apache-2.0
"""``gr00t bag recover``: what it prints, its exit codes, its figures."""

import json
from pathlib import Path

import pytest
from episode_data import messages, write_bag

from gr00t_bringup.cli import main
from gr00t_policy.data.bag import read_bag

MADE = messages(60)


def recover(bag: Path, *words: str) -> int:
    return main(["bag", "recover", str(bag), *words])


def test_a_bag_that_was_cut_off_between_two_chunks_comes_back_whole_and_the_exit_code_is_0(tmp_path, capsys):
    bag, figures = tmp_path / "bag", tmp_path / "figures.json"
    write_bag(bag, MADE, close=False)
    assert recover(bag, "--json", str(figures)) == 0
    out = tmp_path / "bag_recovered"
    assert list(read_bag(out)) == MADE
    printed = capsys.readouterr().out
    assert "bag_0.mcap: was cut off; 60 messages restored" in printed and f"60 messages in {out}" in printed
    said = json.loads(figures.read_text())
    assert (said["is_lossless"], said["out"], said["missing"]) == (True, str(out), 0)
    assert said["messages"] == {"/language_command": 30, "/state": 30}


def test_a_bag_that_was_cut_off_in_a_message_gives_back_the_whole_ones_and_the_exit_code_is_1(tmp_path, capsys):
    bag, figures, out = tmp_path / "bag", tmp_path / "figures.json", tmp_path / "saved"
    write_bag(bag, MADE, close=False)
    file = bag / "bag_0.mcap"
    content = file.read_bytes()
    file.write_bytes(content[: content.index(MADE[40].cdr) + 3])
    assert recover(bag, "--out", str(out), "--json", str(figures)) == 1
    assert list(read_bag(out)) == MADE[:40]
    assert "bytes at the end or in between are no whole message" in capsys.readouterr().out
    said = json.loads(figures.read_text())
    assert not said["is_lossless"] and said["files"][0]["lost_bytes"] > 0 and not said["files"][0]["complete"]


@pytest.mark.parametrize(
    ("content", "words"), [(None, "there is no bag"), (b"not a recording", "no whole message")], ids=["none", "foreign"]
)
def test_where_nothing_can_be_restored_nothing_is_written_and_the_exit_code_is_2(tmp_path, capsys, content, words):
    bag, figures = tmp_path / "bag", tmp_path / "figures.json"
    if content is not None:
        bag.mkdir()
        (bag / "bag_0.mcap").write_bytes(content)
    assert recover(bag, "--json", str(figures)) == 2
    assert words in capsys.readouterr().err
    assert not figures.exists() and not (tmp_path / "bag_recovered").exists()
