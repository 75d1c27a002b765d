# SPDX-License-Identifier: Apache-2.0
"""``gr00t eval --compare`` on folders of results: only scenes that both ran count, and what cannot be compared is refused."""

import json

import pytest
from made_results import made_identity, made_results
from PIL import Image
from small_checkpoint import save_small_checkpoint

from gr00t_sim.compare import CompareConfig, run
from gr00t_sim.evaluation.comparison import compare
from gr00t_sim.evaluation.comparison_report import verdict
from gr00t_sim.evaluation.episode import EvaluationError
from gr00t_sim.evaluation.result_folder import open_results


def _folder(path, results, checkpoint="a" * 64):
    with open_results(path, made_identity(checkpoint=checkpoint)) as folder:
        for result in results:
            folder.add(result)
    return path


def _by_key(results):
    return {result.key: result for result in results}


def test_two_folders_are_compared_on_the_seeds_they_share(tmp_path, capsys):
    a = _folder(tmp_path / "a", made_results([True, False, False, True, True]))
    b = _folder(tmp_path / "b", made_results([True, True, True, False]), checkpoint="b" * 64)
    assert run(CompareConfig(compare=(a, b), out=tmp_path / "out", json=tmp_path / "c.json")) == 0
    result = json.loads((tmp_path / "c.json").read_text())
    assert result == json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert (result["shared_episodes"], result["only_in_a"], result["only_in_b"]) == (4, 1, 0)
    task = result["languages"]["own"]["tasks"]["choose_bin"]
    assert (task["both"], task["only_a"], task["only_b"], task["neither"]) == (1, 1, 2, 0)
    assert task["difference"] == 0.25 and task["mcnemar_p"] == 1.0
    assert task["seeds_only_a"] == [3] and task["seeds_only_b"] == [1, 2]
    with Image.open(tmp_path / "out" / "comparison.png") as picture:
        assert picture.width > 500
    assert "no difference can be seen on 4 scenes" in capsys.readouterr().out


def test_checkpoints_are_evaluated_on_the_same_scenes_and_only_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # results of checkpoints go to out/eval
    a, b = (save_small_checkpoint(tmp_path / name, seed=seed) for seed, name in enumerate("ab"))
    config = CompareConfig(
        compare=(a, b), task="choose_bin", episodes=1, language=("own",), max_s=0.1, engine="torch", workers=1,
        out=tmp_path / "out",
    )  # fmt: skip
    assert run(config) == 0
    result = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert (result["a"]["given"], result["b"]["given"]) == (str(a), str(b))
    assert result["a"]["checkpoint_hash"] != result["b"]["checkpoint_hash"] and list(result["differences"]) == [
        "checkpoint"
    ]
    assert (result["shared_episodes"], result["only_in_a"], result["only_in_b"]) == (1, 0, 0)
    files = sorted((tmp_path / "out" / "eval").glob("*/episodes.jsonl"))
    before = [file.read_bytes() for file in files]
    assert [content.count(b"\n") for content in before] == [1, 1]
    assert run(config) == 0
    assert [file.read_bytes() for file in files] == before


def test_results_that_share_no_seed_are_refused_and_both_ranges_are_named(tmp_path):
    a = _folder(tmp_path / "a", made_results([True] * 3))
    b = _folder(tmp_path / "b", made_results([True] * 3, task="pick_named_object"), checkpoint="b" * 64)
    with pytest.raises(EvaluationError, match=r"choose_bin .*seeds 0 to 2; B has pick_named_object .*seeds 0 to 2"):
        run(CompareConfig(compare=(a, b), out=tmp_path / "out"))


def test_what_cannot_be_written_in_the_end_is_one_error(tmp_path, capsys):
    a = _folder(tmp_path / "a", made_results([True] * 3))
    (tmp_path / "file").touch()
    for where in ({"out": tmp_path / "file" / "out"}, {"out": tmp_path / "out", "json": tmp_path / "file" / "x.json"}):
        with pytest.raises(EvaluationError, match=r"file/\S+ cannot be written"):
            run(CompareConfig(compare=(a, a), **where))
        assert "A: " in capsys.readouterr().out, "and what was found is printed"


def test_a_folder_compared_with_itself_does_not_differ():
    results = _by_key(made_results([True, False] * 10))
    entry = compare(results, results)["languages"]["own"]["all"]
    assert entry["difference"] == 0 and entry["mcnemar_p"] == 1
    assert entry["difference95"][0] == pytest.approx(-entry["difference95"][1])


def test_tasks_and_sentences_are_compared_apart_and_add_up():
    a = made_results([True] * 6) + made_results([False] * 4, task="pick_named_object")
    a += made_results([False] * 6, language="empty")
    b = made_results([False] * 6) + made_results([False] * 4, task="pick_named_object")
    b += made_results([True] * 6, language="empty")
    languages = compare(_by_key(a), _by_key(b))["languages"]
    assert list(languages) == ["own", "empty"]
    own = languages["own"]
    for count in ("scenes", "both", "only_a", "only_b", "neither"):
        assert own["all"][count] == sum(task[count] for task in own["tasks"].values())
    assert own["tasks"]["choose_bin"]["difference"] == -1 and own["tasks"]["pick_named_object"]["difference"] == 0


def test_the_better_one_is_named():
    worse, better = _by_key(made_results([False] * 20)), _by_key(made_results([True] * 20))
    assert verdict(compare(worse, better)["languages"]["own"]["all"]).startswith("B is better: +100.0 points")
    assert verdict(compare(better, worse)["languages"]["own"]["all"]).startswith("A is better: -100.0 points")


def test_other_settings_are_said(tmp_path, capsys):
    a = _folder(tmp_path / "a", made_results([True]))
    with open_results(tmp_path / "b", made_identity(code="d" * 64)) as folder:
        folder.add(made_results([True])[0])
    assert run(CompareConfig(compare=(a, tmp_path / "b"), out=tmp_path / "out")) == 0
    assert "differ in more than the checkpoint" in capsys.readouterr().out
