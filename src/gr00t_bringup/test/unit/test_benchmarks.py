# SPDX-License-Identifier: Apache-2.0
"""The experiments ask for what the commands can do, and their tables and pictures say what was found."""

import importlib
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from gr00t_bringup.cli import options_of
from gr00t_bringup.train_recipe import RECIPES, scaled
from gr00t_policy.runtime.config import CHUNK_MODES

FOLDER = Path(__file__).parents[4] / "benchmarks"
EXPERIMENTS = ("chunk_execution", "data_efficiency", "language", "multiplication", "pretraining")


@pytest.fixture(scope="module", autouse=True)
def benchmarks():
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


def test_every_experiment_of_the_folder_is_tested():
    programs = {path.stem for path in FOLDER.glob("*.py") if "__main__" in path.read_text()}
    assert programs == set(EXPERIMENTS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_commands_of_an_experiment_are_understood(name, tmp_path):
    experiment, module = importlib.import_module("experiment"), importlib.import_module(name)
    config = module.Config(out=tmp_path)
    for arm in module.arms(config):
        for command in arm.commands:
            options_of(command)
        for task in config.tasks:
            options_of(experiment.evaluation(config, arm, task, ("own",), tmp_path / "scores.json"))


def test_chunks_are_joined_in_every_way_at_every_rate_and_each_line_has_its_own_rows(tmp_path):
    module = importlib.import_module("chunk_execution")
    config = module.Config(out=tmp_path)
    arms = module.arms(config)
    settings = [options_of(("eval", *arm.evaluation)).settings for arm in arms]
    assert len(set(settings)) == len(arms) == len({arm.name for arm in arms})
    assert {each.chunk_mode for each in settings} == set(CHUNK_MODES)
    for mode in CHUNK_MODES:
        assert {each.head_every for each in settings if each.chunk_mode == mode} == set(config.head_every)
    rows = [{"average": index, "average95": (index, index)} for index in range(len(arms))]
    drawn = module.lines(config, {"rows": rows})
    assert [point[1] for points in drawn.values() for point in points] == list(range(len(arms)))
    assert all([point[0] for point in points] == [50, 200, 400] for points in drawn.values())


@pytest.mark.parametrize("name", ["data_efficiency", "multiplication", "pretraining"])
def test_an_arm_trains_on_what_it_made_and_evaluates_what_it_trained(name, tmp_path):
    module = importlib.import_module(name)
    for arm in module.arms(module.Config(out=tmp_path)):
        made = {Path(command[command.index("--out") + 1]) for command in arm.commands if command[0] == "sim"}
        *_, train = arm.commands
        folders = {
            Path(word) for word in train[train.index("--datasets") + 1 :] if word.startswith(str(tmp_path / "data"))
        }
        assert folders and folders <= made
        assert arm.checkpoint == Path(train[train.index("--out") + 1]) / "checkpoint"


def found(name: str, successes: dict[str, int]) -> dict:
    return {"arm": name, "tasks": {task: {"own": {"successes": n, "episodes": 10}} for task, n in successes.items()}}


def test_rows_are_averaged_over_tasks_and_shown(tmp_path):
    experiment, figures = importlib.import_module("experiment"), importlib.import_module("figures")
    protocol = experiment.Protocol(out=tmp_path, tasks=("stack", "lift_box"))
    parts = [found("ours, stack", {"stack": 4}), found("ours, lift_box", {"lift_box": 10})]
    results = experiment.written(
        protocol, [experiment.joined("ours", parts), found("none", {"stack": 0, "lift_box": 0})]
    )
    assert [row["average"] for row in results["rows"]] == [0.7, 0.0]
    low, high = results["rows"][0]["average95"]
    assert low < 0.7 < high
    assert "| ours | 40 % | 100 % | 70 % |" in experiment.table(results)
    figures.draw_bars(results, "title", tmp_path / "bars.png")
    figures.draw_lines(
        {"ours": [(10, 0.4, 0.2, 0.6), (100, 0.7, 0.5, 0.9)]}, "data [%]", "title", tmp_path / "lines.png"
    )
    assert (tmp_path / "bars.png").stat().st_size > 1000 and (tmp_path / "lines.png").stat().st_size > 1000


@pytest.mark.parametrize(("budget", "steps"), [(0.25, 2800), (0.05, 560), (1.0, 11200)])
def test_the_baseline_takes_as_many_steps_as_ours_whatever_the_budget(budget, steps, tmp_path):
    module = importlib.import_module("data_efficiency")
    (only,) = RECIPES["demonstrations"].rounds
    assert sum(scaled(stage, budget).steps for stage in only.stages.values()) == steps
    trains = [arm.commands[-1] for arm in module.arms(module.Config(out=tmp_path, budget=budget, shares=(1.0,)))]
    (taken,) = {command[command.index("--steps") + 1] for command in trains if "diffusion_policy" in command}
    assert taken == str(steps)


def test_ours_without_places_takes_the_steps_and_the_data_of_the_others(tmp_path):
    module = importlib.import_module("data_efficiency")
    config = module.Config(out=tmp_path, shares=(0.1,), lines=("ours without places", "ours", "Diffusion Policy"))
    trains = {arm.name: arm.commands[-1] for arm in module.arms(config)}
    options = {name: options_of(command) for name, command in trains.items()}
    assert options["ours without places, 10%"].recipe == "without_places"
    assert len({each.datasets for each in options.values()}) == 1
    steps = {
        name: sum(scaled(stage, each.budget).steps for stage in RECIPES[each.recipe].rounds[0].stages.values())
        for name, each in options.items()
        if name.startswith("ours")
    }
    assert set(steps.values()) == {options["Diffusion Policy, 10%"].steps} == {2800}


@pytest.mark.parametrize("name", ["data_efficiency", "multiplication", "pretraining"])
def test_another_seed_is_that_of_every_training(name, tmp_path):
    module = importlib.import_module(name)
    for seed in (0, 7):
        commands = [command for arm in module.arms(module.Config(out=tmp_path, seed=seed)) for command in arm.commands]
        assert {options_of(command).seed for command in commands if command[0] == "train"} == {seed}


def test_post_training_learns_the_words_of_its_task_at_lower_rates_and_nothing_else_differs(tmp_path):
    module = importlib.import_module("pretraining")
    arms = module.arms(module.Config(out=tmp_path, tasks=("push_to_zone",)))
    after, fresh = (options_of(arm.commands[-1]) for arm in arms)
    assert after.new_words and after.rate == 0.3 and after.initial == tmp_path / "runs" / "before" / "checkpoint"
    assert not fresh.new_words and fresh.rate == 1.0 and fresh.initial is None
    assert replace(after, new_words=False, rate=1.0, initial=None, out=None) == replace(fresh, out=None)


def write_card(run: Path, card: dict) -> None:
    (run / "checkpoint").mkdir(parents=True)
    (run / "checkpoint" / "training_card.json").write_text(json.dumps(card))


def test_what_each_training_took_is_in_the_results_and_the_table(tmp_path):
    experiment, effort = importlib.import_module("experiment"), importlib.import_module("effort")
    (only,) = RECIPES["demonstrations"].rounds
    stages = {name: asdict(scaled(stage, 0.25)) for name, stage in only.stages.items()}
    write_card(tmp_path / "runs" / "ours", {"stages": stages, "steps": 2800, "minutes": 26.4})
    write_card(
        tmp_path / "dp",
        {"recipe": "diffusion_policy", "config": {"steps": 2800, "images_per_step": 24}, "minutes": 15.4},
    )
    commands = [
        ("sim", "generate", "--out", "data"),
        *(("train", "--out", str(tmp_path / run)) for run in ("runs/ours", "dp")),
    ]
    ours, baseline = effort.trainings(commands, tmp_path)
    assert ours == {"run": "runs/ours", "steps": 2800, "action_steps": 2000, "pictures": 86400, "minutes": 26.4}
    assert baseline == {"run": "dp", "steps": 2800, "action_steps": 2800, "pictures": 67200, "minutes": 15.4}
    parts = [{**found(f"both, {task}", {task: 4}), "trainings": [ours, baseline]} for task in ("stack", "lift_box")]
    protocol = experiment.Protocol(out=tmp_path, tasks=("stack", "lift_box"))
    experiment.written(protocol, [experiment.joined("both", parts), found("none", {"stack": 0, "lift_box": 0})])
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["rows"][0]["trainings"] == [ours, baseline], "a network that several start from was trained once"
    lines = experiment.table(results).splitlines()
    assert lines[0].endswith("| steps | of actions | pictures drawn | minutes |")
    assert lines[2].endswith("| 5,600 | 4,800 | 153,600 | 42 |") and lines[3].endswith("| 0 | 0 | 0 | 0 |")


def test_a_command_that_ran_is_not_run_again_and_one_that_fails_says_so(tmp_path, capsys):
    experiment = importlib.import_module("experiment")
    experiment.once(tmp_path, ("--help",))
    experiment.once(tmp_path, ("--help",))
    assert capsys.readouterr().out.count("gr00t --help") == 1
    with pytest.raises(Exception, match="no-such-verb"):
        experiment.once(tmp_path, ("no-such-verb",))
    assert "no-such-verb" in (tmp_path / "log.txt").read_text()
