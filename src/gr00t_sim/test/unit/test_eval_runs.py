# SPDX-License-Identifier: Apache-2.0
"""``gr00t eval`` with the shipped checkpoint: killed in the middle it goes on, and the scores are those of a run at one go."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from made_results import SETTINGS, made_result
from PIL import Image

from gr00t_policy.core.errors import CheckpointError
from gr00t_policy.core.source_revision import suite_revision
from gr00t_sim.checkpoint_policy import read_checkpoint
from gr00t_sim.evaluate import SCORES, EvalConfig, run
from gr00t_sim.evaluation.episode import EpisodeKey, EvaluationError, result_to_dict
from gr00t_sim.evaluation.measure import EpisodeJob, run_episode
from gr00t_sim.evaluation.replay import ReplayJob, replay
from gr00t_sim.evaluation.result_folder import EPISODES, read_results
from gr00t_sim.lasting_success import SUCCESS_LASTS_S
from gr00t_sim.tasks.registry import SUITES

_SHIPPED = Path(__file__).resolve().parents[4] / "models" / "gr1_tabletop_tiny"
_CONFIG = EvalConfig(
    task="choose_bin", episodes=3, language=("own",), max_s=0.5, workers=1, checkpoint=_SHIPPED, film=None, gallery=0
)
_PROGRAM = """
from pathlib import Path
from gr00t_sim.evaluate import EvalConfig, run
if __name__ == "__main__":
    run(EvalConfig(task="choose_bin", episodes=300, language=("own",), max_s=0.5, workers=1,
                   checkpoint=Path({checkpoint!r}), film=None, out=Path({out!r})))
"""


@pytest.fixture(scope="module")
def at_one_go(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "whole"
    assert run(replace(_CONFIG, out=folder, json=folder.parent / "whole.json", film=folder.parent / "films")) == 0
    return folder


def test_a_killed_run_goes_on_and_ends_as_a_run_at_one_go(tmp_path, at_one_go):
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM.format(checkpoint=str(_SHIPPED), out=str(tmp_path / "killed")))
    lines = tmp_path / "killed" / EPISODES
    with subprocess.Popen([sys.executable, program], stdout=subprocess.DEVNULL) as process:
        _wait(lambda: lines.is_file() and lines.read_bytes().count(b"\n") >= 1)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
    _wait(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children))
    before = lines.read_bytes()
    assert run(replace(_CONFIG, out=tmp_path / "killed")) == 0
    assert lines.read_bytes().startswith(before[: before.rfind(b"\n") + 1])
    _, resumed = read_results(tmp_path / "killed")
    _, whole = read_results(at_one_go)
    assert {key: resumed[key] for key in whole} == whole
    assert (tmp_path / "killed" / SCORES).read_text() == (at_one_go / SCORES).read_text()


def test_a_second_run_adds_no_line_and_gives_the_same_scores(at_one_go, capsys):
    before = (at_one_go / EPISODES).read_bytes()
    assert run(replace(_CONFIG, out=at_one_go)) == 0
    assert (at_one_go / EPISODES).read_bytes() == before
    assert "3 of 3 episodes are in" in capsys.readouterr().out.replace("\n", " ")


def test_two_workers_give_the_scores_of_one_byte_for_byte(tmp_path, at_one_go):
    assert run(replace(_CONFIG, workers=2, out=tmp_path / "two")) == 0
    assert (tmp_path / "two" / SCORES).read_bytes() == (at_one_go / SCORES).read_bytes()
    lines = [set((folder / EPISODES).read_bytes().splitlines()) for folder in (tmp_path / "two", at_one_go)]
    assert lines[0] == lines[1]


def test_the_strip_of_a_task_shows_its_first_scene_from_the_head_above_and_from_outside_below(at_one_go):
    (file,) = (at_one_go.parent / "films").iterdir()
    assert file.name == "choose_bin.png"
    with Image.open(file) as strip:
        assert strip.size == (3 * 224, 448), "the first of ten periods, the ninth, the last"
        heads, outsides = np.vsplit(np.asarray(strip).astype(int), 2)
    views = [view[30:, column : column + 224] for view in (heads, outsides) for column in (0, 224, 448)]
    assert all(view.std() > 15 for view in views), "there is something to be seen"
    assert np.abs(views[0] - views[3]).mean() > 15, "two different views"
    assert 0 < np.abs(views[0] - views[2]).mean() < np.abs(views[0] - views[3]).mean(), "and the robot moves a little"


def test_a_success_is_filmed_for_the_page_to_its_end(tmp_path):
    """The box, which the shipped checkpoint lifts in every scene of its table, and soon."""
    config = replace(_CONFIG, task="lift_box", episodes=1, max_s=8.0, gallery=1, out=tmp_path / "box")
    assert run(config) == 0
    (result,) = read_results(config.out)[1].values()
    assert result.outcome.success
    film = next((config.out / "gallery").glob("*.mp4"))
    assert film.name in (config.out / "gallery.html").read_text()
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        filmed_s = stream.frames / stream.average_rate
        assert filmed_s == pytest.approx(0.05 * result.outcome.steps + SUCCESS_LASTS_S, abs=0.2)


def test_a_task_of_a_suite_that_leaves_no_choice_is_left_out_of_other_wishes_and_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(SUITES, "two", ("lift_box", "choose_bin"))
    films = tmp_path / "films"
    asked = {"suite": "two", "language": ("other",), "episodes": 1, "gallery": 1}
    assert run(replace(_CONFIG, task="", out=tmp_path / "results", film=films, **asked)) == 0
    assert "left out, since there is nothing else to ask for: lift_box" in capsys.readouterr().out
    assert [path.name for path in films.iterdir()] == ["choose_bin.png"]
    assert {key.task for key in read_results(tmp_path / "results")[1]} == {"choose_bin"}


def test_a_checkpoint_that_was_replaced_while_it_was_evaluated_is_refused_by_a_worker_that_comes_later(tmp_path):
    """Its episodes went under the hash of the first one."""
    key = EpisodeKey("choose_bin", "own", 10000)
    now = read_checkpoint(_SHIPPED).hash
    said = f"gr1_tabletop_tiny was replaced while it drove: 0{{12}} before, {now[:12]} now"
    with pytest.raises(CheckpointError, match=said):
        run_episode(EpisodeJob(_SHIPPED, "0" * 64, SETTINGS, key))
    with pytest.raises(CheckpointError, match=said):
        replay(ReplayJob(_SHIPPED, "0" * 64, SETTINGS, key, tmp_path / "strip.png"))


def test_a_film_of_another_checkpoint_is_made_again(tmp_path):
    job = ReplayJob(_SHIPPED, "a" * 64, SETTINGS, EpisodeKey("choose_bin", "own", 0), tmp_path / "0.png")
    job = replace(job, note=tmp_path / "0.json")
    job.strip.touch()
    for said, done in (({"checkpoint": "a" * 64}, True), ({"checkpoint": "b" * 64}, False), ({}, False)):
        job.note.write_text(json.dumps(said | result_to_dict(made_result(0))))
        assert job.done is done
    job.note.write_text("[1]")
    with pytest.raises(EvaluationError, match="no result of an episode"):
        _ = job.done


def test_the_json_file_has_the_scores_and_what_they_were_made_with(at_one_go):
    scores = json.loads((at_one_go.parent / "whole.json").read_text())
    assert scores == json.loads((at_one_go / SCORES).read_text())
    assert scores["tasks"]["choose_bin"]["episodes"] == 3 and scores["average_success"] == 0.0
    assert scores["settings"]["max_s"] == 0.5 and len(scores["checkpoint_hash"]) == 64
    assert scores["revision"] == suite_revision()


def _wait(done, timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
