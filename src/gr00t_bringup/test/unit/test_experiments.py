# SPDX-License-Identifier: Apache-2.0
"""An experiment from end to end with a network of a few layers; whose scores are taken for whose; arms on the same scenes."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from small_checkpoint import save_small_checkpoint

from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_sim.evaluation.code_digest import code_digest
from gr00t_sim.evaluation.paired import count_pairs, difference95, mcnemar_p

FOLDER = Path(__file__).parents[4] / "benchmarks"
ENDS = "abcd" * 10  # of 40 scenes: a both, b only the one, c only the other, d neither


@pytest.fixture(scope="module", autouse=True)
def benchmarks():
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


def row(name: str, solved: dict[str, list[int]], episodes: int = 40, **more) -> dict:
    """Of an arm that solved these scenes of each task, from seed 10000 on."""
    entries = {
        task: {
            "own": {
                "successes": len(seeds),
                "episodes": episodes,
                "first_seed": 10000,
                "solved": [10000 + seed for seed in seeds],
            }
        }
        for task, seeds in solved.items()
    }
    return {"arm": name, "tasks": entries, **more}


def scenes(letters: str) -> list[int]:
    return [place for place, letter in enumerate(ENDS) if letter in letters]


def test_an_experiment_runs_from_a_checkpoint_to_its_table_once_and_again_for_another_checkpoint(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)  # `gr00t eval` keeps its episodes in out/eval
    language = importlib.import_module("language")
    experiment = importlib.import_module("experiment")
    plain = (
        "--engine",
        "torch",
    )  # the other one is compiled for each new checkpoint, which takes longer than all the rest
    monkeypatch.setattr(language, "arms", lambda config: [experiment.Arm("small", config.checkpoint, evaluation=plain)])
    checkpoint = save_small_checkpoint(tmp_path / "models" / "small")
    first = load_checkpoint(checkpoint).hash
    config = language.Config(
        out=tmp_path / "out", checkpoint=checkpoint, tasks=("choose_bin",), episodes=2, workers=1, max_s=0.5
    )
    language.main(config)
    shown = capsys.readouterr().out
    assert shown.count("gr00t eval") == 1
    (found,) = json.loads((config.out / "results.json").read_text())["rows"]
    for said in ("own", "other", "empty"):
        entry = found["tasks"]["choose_bin"][said]
        assert entry["episodes"] == 2 and len(entry["solved"]) == entry["successes"]
        assert found["averages"][said]["average"] == entry["successes"] / 2
        low, high = found["averages"][said]["average95"]
        assert 0 <= low <= entry["successes"] / 2 <= high <= 1 and high - low > 0.5, "two scenes say little"
    assert found["chance"] == {"choose_bin": 0.5} and found["averages"]["chance"]["average"] == 0.5
    source = found["sources"]["choose_bin"]
    assert source["checkpoint_hash"] == first and source["code"] == code_digest() and "revision" in source
    lines = shown.splitlines()
    assert any(line.startswith("| **average** | 0 % (0 to 66) |") and line.endswith("| 50 % |") for line in lines)
    assert any(line.startswith("| another | own sentence | +0.0 |") and line.endswith("| 2 |") for line in lines)
    assert lines[-1].startswith(f"All scores are of code {code_digest()[:12]}, commit ")
    assert (config.out / "language.png").stat().st_size > 1000
    results, done = ((config.out / name).read_bytes() for name in ("results.json", "done.jsonl"))

    language.main(config)
    assert "gr00t eval" not in capsys.readouterr().out
    assert (config.out / "done.jsonl").read_bytes() == done and (config.out / "results.json").read_bytes() == results

    save_small_checkpoint(checkpoint, seed=3)
    language.main(config)
    shown = capsys.readouterr().out
    assert shown.count("gr00t eval") == 1 and f"of another checkpoint ({first[:12]} there" in shown
    (found,) = json.loads((config.out / "results.json").read_text())["rows"]
    assert found["sources"]["choose_bin"]["checkpoint_hash"] == load_checkpoint(checkpoint).hash != first


def test_scores_that_do_not_say_their_checkpoint_are_not_taken_for_anyones(tmp_path, capsys):
    sources = importlib.import_module("sources")
    file = tmp_path / "scores.json"
    assert not sources.forget_other_checkpoint(file, "abc")
    file.write_text(json.dumps({"checkpoint_hash": "abc", "tasks": {}}))
    assert not sources.forget_other_checkpoint(file, "abc") and file.is_file()
    file.write_text(json.dumps({"tasks": {}}))
    assert sources.forget_other_checkpoint(file, "abc") and not file.exists()
    assert "which one is not said" in capsys.readouterr().out


def test_what_another_command_has_written_over_since_is_made_again_and_nothing_else(tmp_path, capsys):
    experiment = importlib.import_module("experiment")
    networks = [save_small_checkpoint(tmp_path / name, seed=seed) for seed, name in enumerate(("one", "other"))]
    written = tmp_path / "scores" / "written.json"
    written.parent.mkdir()
    one, other = (("inspect", str(network), "--json", str(written)) for network in networks)
    beside = ("inspect", str(networks[0]), "--json", str(tmp_path / "beside.json"))

    def ran(command: tuple[str, ...]) -> bool:
        experiment.once(tmp_path, command, made=Path(command[-1]))
        return "gr00t inspect" in capsys.readouterr().out

    assert ran(one)
    first = written.read_bytes()
    assert ran(beside) and ran(other) and written.read_bytes() != first
    assert ran(one) and written.read_bytes() == first, "asked for again, it is not the other's that is found"
    assert not ran(one) and not ran(beside), "nothing has written over these"
    (tmp_path / "beside.json").unlink()
    assert ran(beside)

    with pytest.raises(subprocess.CalledProcessError):
        ran(("inspect", str(tmp_path / "nowhere"), "--json", str(written)))
    assert ran(one) and written.read_bytes() == first, "a run that ended halfway may have written, and is not noted"


def test_runs_that_differ_in_options_alone_write_to_one_place(tmp_path):
    experiment = importlib.import_module("experiment")
    arm, file = experiment.Arm("small", tmp_path / "small"), tmp_path / "scores.json"
    commands = [
        experiment.evaluation(experiment.Protocol(out=tmp_path, **options), arm, "stack", ("own",), file)
        for options in ({}, {"max_s": 10.0}, {"episodes": 50})
    ]
    entries = [{"command": list(command), "seconds": 1.0} for command in (commands[0], commands[1])]
    (tmp_path / "done.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    file.write_text("{}")
    experiment.once(tmp_path, commands[1], made=file)
    assert file.read_text() == "{}", "the last to write is not run again"
    for command in (commands[0], commands[2]):
        file.write_text("{}")
        with pytest.raises(subprocess.CalledProcessError):  # it runs, and there is no such checkpoint
            experiment.once(tmp_path, command, made=file)


def made(code: str = "c" * 64, checkpoint: str = "h" * 64, revision: str = "r" * 40) -> dict:
    one = {"checkpoint": "models/one", "checkpoint_hash": checkpoint, "code": code, "revision": revision}
    return {"sources": {"stack": one}}


def test_the_last_line_names_the_arms_whose_code_differs(tmp_path):
    experiment = importlib.import_module("experiment")

    def last_line(*rows: dict, now: str = "c" * 64) -> str:
        protocol = experiment.Protocol(out=tmp_path, tasks=("stack",))
        return experiment.table({**experiment.written(protocol, rows), "code": now}).splitlines()[-1]

    stack = {"stack": [1, 2]}
    same = [row("A", stack, **made()), row("B", stack, **made())]
    assert last_line(*same) == "All scores are of code cccccccccccc, commit rrrrrrrrrrrr."
    assert "which is not that of now, dddddddddddd" in last_line(*same, now="d" * 64)
    other = last_line(row("A", stack, **made()), row("B", stack, **made(code="e" * 64)))
    assert "**Not of one make**" in other and "cccccccccccc (A), eeeeeeeeeeee (B)" in other
    replaced = last_line(row("A", stack, **made()), row("B", stack, **made(checkpoint="i" * 64)))
    assert "models/one was 2 different checkpoints: hhhhhhhhhhhh, iiiiiiiiiiii" in replaced
    trained = [row("A", stack, **made(), commits=["a" * 40]), row("B", stack, **made(), commits=["b" * 40 + "-dirty"])]
    assert "different commits: aaaaaaaaaaaa, bbbbbbbbbbbb-dirty" in last_line(*trained)


def test_the_commits_of_an_arm_are_those_of_the_last_run_of_its_commands():
    sources = importlib.import_module("sources")
    done = [
        {"command": ["train", "a"], "seconds": 1.0},
        {"command": ["train", "a"], "revision": "new"},
        {"command": ["train", "b"], "revision": "other"},
        {"command": ["sim"]},
    ]
    assert sources.commits_of([("train", "a")], done) == ["new"]
    assert sources.commits_of([("train", "a"), ("sim",), ("never",)], done) == ["", "new"]


def test_arms_are_paired_scene_by_scene_and_task_by_task():
    paired_arms = importlib.import_module("paired_arms")
    one = row("one", {"stack": scenes("ab"), "pour": scenes("a")})
    other = row("other", {"pour": scenes("acd"), "stack": scenes("ac"), "lift_box": scenes("a")})
    found = paired_arms.difference(one, other)
    pairs = count_pairs([(letter in "ab", letter in "ac") for letter in ENDS] + [(c == "a", c in "acd") for c in ENDS])
    assert (found["scenes"], found["only_less"], found["only_arm"]) == (80, pairs.only_a, pairs.only_b) == (80, 10, 30)
    assert found["difference"] == 0.25
    assert found["difference95"] == pytest.approx(difference95(pairs), abs=1e-4)
    assert found["mcnemar_p"] == pytest.approx(mcnemar_p(pairs), abs=1e-6)
    table = paired_arms.table(
        paired_arms.differences([one, other], [("other", "one"), ("other", "absent")])
    ).splitlines()
    assert table[2].startswith("| other | one | +25.0 | +9.8 to +38.6 |") and "| 30, 10 |" in table[2]
    assert table[-1].endswith("not of other trainings.")


def test_nothing_is_said_of_scenes_whose_ends_are_not_known(tmp_path, monkeypatch):
    paired_arms = importlib.import_module("paired_arms")
    monkeypatch.chdir(tmp_path)
    one, other = row("one", {"stack": [1]}), row("other", {"stack": [2]})
    other["tasks"]["stack"]["own"]["solved"] = None
    assert (
        paired_arms.difference(one, other) is None and paired_arms.differences([one, other], [("other", "one")]) == []
    )
    assert "no interval" in paired_arms.words(None)
    assert paired_arms.solved_seeds({"seed": 10000, "tasks": {}}, "stack", "own", 2) is None, "scores of an older form"


def test_the_reading_gives_each_difference_its_interval_over_the_same_scenes(tmp_path):
    module, experiment = importlib.import_module("data_efficiency"), importlib.import_module("experiment")
    arms = {
        "ours, 10%": "ab",
        "ours, multiplied, 10%": "abd",
        "Diffusion Policy, 10%": "a",
        "ours, 100%": "abcd",
        "Diffusion Policy, 100%": "ac",
    }
    rows = [row(name, {"stack": scenes(letters)}) for name, letters in arms.items()]
    protocol = experiment.Protocol(out=tmp_path, tasks=("stack",))
    said = module.reading(experiment.written(protocol, rows, module.against(list(arms)))).splitlines()
    assert (
        said[0].startswith("ours, 100% less Diffusion Policy, 100%: +50.0 points (95 % +3") and "40 scenes" in said[0]
    )
    assert said[1].startswith("ours, 10% less ours, 100%: -50.0 points (95 % -6") and said[1].endswith("; 50 % of it")
    assert said[2].startswith("ours, multiplied, 10% less ours, 100%: -25.0 points") and said[2].endswith(
        "; 75 % of it"
    )
    assert len(said) == 3, "multiplied demonstrations have no arm of their own at the largest share"


def test_averages_of_every_sentence_leave_out_the_tasks_that_do_not_know_it(tmp_path):
    language, experiment = importlib.import_module("language"), importlib.import_module("experiment")
    one = row("checkpoint", {"stack": scenes("ab"), "lift_box": scenes("abcd")})
    for entry in one["tasks"].values():
        entry["empty"] = entry["own"] | {"successes": 10, "solved": [10000 + seed for seed in scenes("a")]}
        for name in entry:
            entry[name]["wilson95"] = [0.1, 0.9]
    one["tasks"]["stack"]["other"] = dict(one["tasks"]["stack"]["empty"])
    results = experiment.written(experiment.Protocol(out=tmp_path, tasks=("stack", "lift_box")), [one])
    assert [results["rows"][0]["averages"][name]["average"] for name in ("own", "empty", "other")] == [0.75, 0.25, 0.25]
    one["chance"] = {task: language.chance(task) for task in one["tasks"]}
    one["averages"]["chance"] = {"average": sum(one["chance"].values()) / 2}
    shown = language.table(results).splitlines()
    assert "| lift_box | 100 % (10 to 90) | - | 25 % (10 to 90) | 100 % |" in shown
    assert shown[4].startswith("| **average** | 75 % (") and shown[4].endswith(" | 62 % |")
    shown = language.points(one)
    assert {name: list(rates) for name, rates in shown.items()} == {
        "own sentence": ["stack", "lift_box"],
        "another": ["stack"],
        "none": ["stack", "lift_box"],
        "chance": ["stack", "lift_box"],
    }
    assert shown["none"]["stack"] == (0.25, 0.1, 0.9) and shown["chance"]["lift_box"] == (1, 1, 1)


@pytest.mark.parametrize(("task", "chance"), [("pick_named_object", 1 / 3), ("choose_bin", 1 / 2), ("two_step", 1 / 4)])
def test_chance_is_one_wish_of_all_that_a_scene_may_be_asked(task, chance):
    assert importlib.import_module("language").chance(task) == chance
