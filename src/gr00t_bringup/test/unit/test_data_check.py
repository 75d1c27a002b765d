# SPDX-License-Identifier: Apache-2.0
"""Each thing that spoils a dataset is put into a good one and must be found: by name, episode and column, with a remedy."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from sample_data import HEIGHT, REAL, WIDTH, moving_square, small_robot

from gr00t_bringup.cli import main
from gr00t_bringup.dataset_check.check import DatasetCheck, check_dataset
from gr00t_bringup.dataset_check.data_finding import DataFinding, rows
from gr00t_bringup.dataset_check.joint_checks import lag_findings
from gr00t_bringup.dataset_check.row_checks import time_findings
from gr00t_policy.core.embodiment import embodiment_to_dict
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.action_lag import ActionLag
from gr00t_policy.data.columns import as_column
from gr00t_policy.data.layout import ACTION, STATE, Layout
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.data.video import write_video
from gr00t_policy.data.writer import LeRobotWriter

_LENGTH, _LAG = 60, 3
_VIDEO = "observation.images.head"


@pytest.fixture(scope="module")
def intact(tmp_path_factory) -> Path:
    """Two episodes; states follow actions by 3 frames; every joint moves and stays within ± 2 rad."""
    root = tmp_path_factory.mktemp("sets") / "set"
    with LeRobotWriter(root, small_robot()) as writer:
        for seed in range(2):
            time = np.arange(_LENGTH + _LAG)[:, None] / 20
            motion = np.sin(time * np.linspace(2, 4, 6) + seed)
            images = {"head": moving_square(_LENGTH, seed)}
            writer.add_episode(motion[:_LENGTH], motion[_LAG:], images, "go left")
        writer.finish()
    return root


@pytest.fixture
def dataset(intact, tmp_path) -> Path:
    return Path(shutil.copytree(intact, tmp_path / "set"))


def _check(root: Path, **options) -> DatasetCheck:
    return check_dataset(root, small_robot(), **options)


def _bad(check: DatasetCheck) -> list[tuple[str, str, int | None, str]]:
    return [(each.level, each.name, each.episode, each.column) for each in check.findings if each.level != "ok"]


def _change(root: Path, column: str, change: Callable[[np.ndarray], np.ndarray], episode: int = 1) -> None:
    """Put other values into one column of one episode; the statistics are taken away."""
    path, stored = Layout(root).data(episode), LeRobotDataset(root).stored_columns(episode)[column]
    table = pq.read_table(path)
    changed = as_column(np.asarray(change(stored.copy())))
    pq.write_table(table.set_column(table.column_names.index(column), column, changed), path)
    Layout(root).stats.unlink(missing_ok=True)


def _film(root: Path, frames: np.ndarray, fps: float = 20.0, episode: int = 1) -> None:
    """Put another video into one episode; the statistics are taken away."""
    write_video(Layout(root).video(episode, _VIDEO), frames, fps)
    Layout(root).stats.unlink(missing_ok=True)


def test_an_intact_dataset_has_no_finding_and_its_lag_is_known(dataset):
    check = _check(dataset, all_frames=True)
    assert _bad(check) == []
    lags = {each.column: each.numbers["frames"] for each in check.findings if each.name == "action lag"}
    assert lags == {"action.left_arm": _LAG, "action.right_arm": _LAG, "action.waist": _LAG}


def test_not_a_number_is_found_with_its_row(dataset):
    def spoil(values: np.ndarray) -> np.ndarray:
        values[17, 2] = np.nan
        return values

    _change(dataset, ACTION, spoil)
    check = _check(dataset)
    assert _bad(check) == [("error", "finite", 1, ACTION)]
    assert next(each for each in check.findings if each.level == "error").numbers == {"count": 1, "frame": 17}


@pytest.mark.parametrize(
    ("times", "name", "level"),
    [
        (lambda t: t * 2, "rate", "error"),
        (lambda t: np.concatenate([t[:30], t[30:] + 0.4]), "gap", "error"),
        (lambda t: np.concatenate([t[:30], t[29:-1]]), "rate", "error"),
        (lambda t: np.concatenate([t[:30], t[30] + (t[30:] - t[30]) / 2]), "rate", "error"),
        (lambda t: t + np.where(np.arange(len(t)) == 9, 0.003, 0), "rate", "warning"),
        (lambda t: t + 0.05, "rate", "warning"),
    ],
    ids=["half the rate", "gap", "doubled row", "mixed rates", "jitter", "late start"],
)
def test_times_that_do_not_follow_the_rate_are_found(times, name, level):
    found = list(time_findings(times(np.arange(60) / 20), 20.0, 4))
    assert [(each.level, each.name, each.episode) for each in found] == [(level, name, 4)]
    assert found[0].fix


def test_rows_of_a_slower_source_and_a_state_that_stops_are_found(dataset):
    _change(dataset, STATE, lambda values: values[np.arange(len(values)) // 2 * 2])
    assert ("error", "repeated rows", 1, STATE) in _bad(_check(dataset))
    _change(dataset, STATE, lambda values: values[np.minimum(np.arange(len(values)), 40)])
    assert ("error", "repeated rows", 1, STATE) in _bad(_check(dataset))


def test_joints_that_never_move_are_named_and_warned_of_only_when_the_robot_drives_them(dataset):
    for episode in range(2):
        _change(dataset, STATE, lambda values: np.where(np.arange(6) == 1, 0.25, values).astype(np.float32), episode)
    check = _check(dataset)
    assert _bad(check) == [("warning", "unused joints", None, "state.left_arm")]
    assert "left_arm_1 never move" in next(each.found for each in check.findings if each.level == "warning")
    others = small_robot(policy_groups=("right_arm", "waist"))
    assert _bad(check_dataset(dataset, others)) == []


def test_an_action_that_is_the_state_itself_or_comes_after_it_is_a_warning(dataset):
    for episode in range(2):
        states = LeRobotDataset(dataset).stored_columns(episode)[STATE]
        _change(dataset, ACTION, lambda _, states=states: states, episode)
    groups = ["action.left_arm", "action.right_arm", "action.waist"]
    assert _bad(_check(dataset)) == [("warning", "action lag", None, group) for group in groups]


@pytest.mark.parametrize(("frames", "level"), [(-1, "warning"), (0, "warning"), (1, "ok"), (6, "ok"), (7, "warning")])
def test_a_lag_must_lie_above_0_and_below_a_third_of_a_second(frames, level):
    found = list(lag_findings("arm", {0: ActionLag(frames, 0.99, 3)}, 20.0))
    assert [each.level for each in found] == [level]


def test_an_episode_with_another_lag_is_named():
    lags = {episode: ActionLag(3, 0.99, 3) for episode in range(9)} | {5: ActionLag(8, 0.99, 3)}
    warned = [each for each in lag_findings("arm", lags, 20.0) if each.level == "warning"]
    assert [(each.episode, each.numbers["frames"]) for each in warned] == [(5, 8)]


def test_values_beyond_the_limits_are_a_warning_and_degrees_an_error(dataset):
    _change(dataset, ACTION, lambda values: values * 2.5)
    assert {each[:2] for each in _bad(_check(dataset))} == {("warning", "joint limits")}
    _change(dataset, ACTION, np.degrees)
    errors = [each for each in _check(dataset).findings if each.level == "error"]
    assert {each.name for each in errors} == {"joint limits"}
    assert "radians" in errors[0].fix


@pytest.mark.parametrize("all_frames", [False, True])
@pytest.mark.parametrize(
    ("film", "level"),
    [
        (np.zeros((_LENGTH, HEIGHT, WIDTH, 3), np.uint8), "error"),
        (np.full((_LENGTH, HEIGHT, WIDTH, 3), 120, np.uint8), "error"),
        (moving_square(1).repeat(_LENGTH, axis=0), "error"),
        (moving_square(_LENGTH)[np.arange(_LENGTH) // 2 * 2], "warning"),
    ],
    ids=["black", "one colour", "frozen", "every second repeated"],
)
def test_a_dead_frozen_or_slow_camera_is_found(dataset, film, level, all_frames):
    _film(dataset, film)
    assert _bad(_check(dataset, all_frames=all_frames)) == [(level, "camera", 1, "head")]


@pytest.mark.parametrize(
    ("frames", "fps"),
    [(moving_square(_LENGTH - 9), 20.0), (moving_square(_LENGTH)[:, :32], 20.0), (moving_square(_LENGTH), 10.0)],
    ids=["short", "another size", "another rate"],
)
def test_a_video_that_does_not_fit_its_rows_is_an_error(dataset, frames, fps):
    _film(dataset, frames, fps)
    assert _bad(_check(dataset)) == [("error", "video", 1, "head")]


def test_missing_and_cut_files_are_errors_of_their_episode_and_the_rest_is_still_checked(dataset):
    rows_file, video = Layout(dataset).data(0), Layout(dataset).video(1, _VIDEO)
    rows_file.unlink()
    video.write_bytes(video.read_bytes()[:-300])
    found = _bad(_check(dataset))
    assert found[:2] == [("error", "files", 0, "data"), ("error", "video", 1, "head")]
    (dataset / "meta" / "info.json").write_text("{")
    assert _bad(_check(dataset)) == [("error", "files", None, "meta")]


def test_statistics_without_quantiles_are_a_warning_and_the_rest_is_compared(dataset):
    stats = Layout(dataset).stats
    stored = json.loads(stats.read_text())
    for column in stored.values():
        del column["q01"], column["q99"]
    stats.write_text(json.dumps(stored))
    check = _check(dataset)
    assert check.ok
    assert {each.found for each in check.findings if each.name == "statistics"} == {"no q01, q99"}
    stored[ACTION]["mean"][0] += 1.0
    stats.write_text(json.dumps(stored))
    assert not _check(dataset).ok


@pytest.mark.parametrize("method", ["linear", "inverted_cdf", "hazen", "weibull", "interpolated_inverted_cdf"])
def test_quantiles_by_any_definition_are_right_where_few_rows_leave_wide_gaps_and_beyond_them_wrong(dataset, method):
    """One or two of 120 rows are far from all others: definitions of a quantile differ by a quarter of the range."""
    rows, far = np.arange(_LENGTH)[:, None], np.array([1, 2, 1, 2, 1, 2])
    low, high = (rows >= 20) & (rows < 20 + far), (rows >= 40) & (rows < 40 + far)
    _change(dataset, STATE, lambda values: np.where(low, -1.9, np.where(high, 1.9, values)))
    stats = Layout(dataset).stats
    with LeRobotWriter(dataset, small_robot()) as writer:
        writer.finish()
    stored = json.loads(stats.read_text())
    rows = np.concatenate([LeRobotDataset(dataset).stored_columns(index)[STATE] for index in range(2)])
    for name, fraction in (("q01", 0.01), ("q99", 0.99)):
        stored[STATE][name] = np.quantile(rows.astype(np.float64), fraction, axis=0, method=method).tolist()
    stats.write_text(json.dumps(stored))
    assert [each for each in _bad(_check(dataset)) if each[1] == "statistics"] == []
    stored[STATE]["q01"][0] = float(np.median(rows[:, 0]))
    stats.write_text(json.dumps(stored))
    assert ("error", "statistics", None, STATE) in _bad(_check(dataset))


def test_statistics_of_a_camera_that_are_of_other_pictures_or_of_another_shape_are_warnings(dataset):
    stats, key = Layout(dataset).stats, "observation.images.head"
    stored = json.loads(stats.read_text())

    def said(**changes: object) -> list[str]:
        stats.write_text(json.dumps({**stored, key: {**stored[key], **changes}}))
        check = _check(dataset)
        assert check.ok, "training here does not need them"
        return [each.found for each in check.findings if each.column == key]

    assert said() == []
    mean = np.array(stored[key]["mean"])
    assert said(mean=(mean + 0.05).tolist()) == [], "of other pictures of the same scenes"
    assert said(mean=(mean * 255).tolist())[0].startswith("mean of a colour is ")
    assert said(std=[0.1, 0.1, 0.1])[0].endswith("LeRobot has (3, 1, 1)")
    assert said(std=None, min="low") == ["not numbers min, max, mean and std"]
    stats.write_text(json.dumps({name: values for name, values in stored.items() if name != key}))
    assert [each.level for each in _check(dataset).findings if each.name == "statistics"] == ["ok"], "as written before"


def test_a_task_without_text_and_statistics_of_other_data_are_errors(dataset):
    stats = Layout(dataset).stats
    stored = json.loads(stats.read_text())
    stored[ACTION]["mean"][3] += 1
    stats.write_text(json.dumps(stored))
    assert _bad(_check(dataset)) == [("error", "statistics", None, ACTION)]
    _change(dataset, LeRobotDataset(dataset).language_column, lambda values: values + 7)
    assert _bad(_check(dataset)) == [("error", "sentence", 1, "annotation.human.coarse_action")]


def test_other_columns_of_tasks_are_compared_with_their_texts_too(dataset):
    _change(dataset, "task_index", lambda values: values + 7)
    check = _check(dataset)
    assert _bad(check) == [("warning", "sentence", 1, "task_index")]
    assert check.ok, "training here reads the annotation"


def test_what_training_refuses_is_an_error_also_where_no_check_has_a_name_for_it(dataset):
    column = LeRobotDataset(dataset).language_column
    for spoil in (lambda values: np.stack([values, values], axis=1), lambda values: values.astype(np.float32)):
        changed = Path(shutil.copytree(dataset, dataset.with_name("changed"), dirs_exist_ok=True))
        _change(changed, column, spoil)
        with pytest.raises(DatasetError) as refused:
            LeRobotDataset(changed).episode(1)
        found = next(each for each in _check(changed).findings if each.level == "error")
        assert (found.name, found.episode, found.found) == ("files", 1, str(refused.value))


def test_two_texts_of_one_task_are_an_error(dataset):
    """The last one counted, in silence."""
    tasks = Layout(dataset).tasks
    line = json.dumps({"task_index": 0, "task": "go right"}) + "\n"
    tasks.write_text(tasks.read_text() * 2)
    assert _check(dataset).ok, "the same line twice says one thing"
    tasks.write_text(tasks.read_text() + line)
    found = [each for each in _check(dataset).findings if each.level == "error"]
    assert "tasks.jsonl: task 0 is both 'go left' and 'go right'" in found[0].found


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"total_videos": 99}, "total_videos is 99, there are 2"),
        ({"total_tasks": "many"}, "total_tasks is 'many', there are 1"),
        ({"total_chunks": 0}, "total_chunks is 0, there are 1"),
        ({"splits": {"train": "0:50"}}, "splits are {'train': '0:50'} of 2 episodes"),
        ({"splits": {"train": [0, 2]}}, "splits are {'train': [0, 2]} of 2 episodes"),
        ({"splits": "0:2", "total_tasks": 5}, "total_tasks is 5, there are 1; splits are '0:2' of 2 episodes"),
        ({"splits": {"train": "0:1", "test": "1:2"}}, None),
    ],
)
def test_totals_of_other_data_are_a_warning(dataset, said, found):
    info = Layout(dataset).info
    info.write_text(json.dumps(json.loads(info.read_text()) | said))
    check = _check(dataset)
    assert check.ok
    assert [each.found for each in check.findings if each.level == "warning"] == ([found] if found else [])


def test_a_sentence_that_changes_within_an_episode_is_told(dataset):
    tasks = Layout(dataset).tasks
    tasks.write_text(tasks.read_text() + json.dumps({"task_index": 9, "task": "put it back"}) + "\n")
    _change(
        dataset, LeRobotDataset(dataset).language_column, lambda values: np.where(np.arange(len(values)) < 5, values, 9)
    )
    check = _check(dataset)
    assert check.ok
    said = {each.found for each in check.findings if each.name == "sentence"}
    assert said == {"2 different sentences, each row has its own; chunks reach over the change"}


def test_rows_of_another_episode_are_an_error(dataset):
    _change(dataset, "episode_index", lambda values: values * 0)
    assert _bad(_check(dataset)) == [("error", "index", 1, "episode_index")]


def test_a_null_among_the_numbers_is_found_like_nan(dataset):
    path = Layout(dataset).data(1)
    table = pq.read_table(path)
    times = table["timestamp"].to_pylist()
    column = pa.array([*times[:5], None, *times[6:]], pa.float32())
    pq.write_table(table.set_column(table.column_names.index("timestamp"), "timestamp", column), path)
    assert ("error", "finite", 1, "timestamp") in _bad(_check(dataset))


def test_an_episode_in_a_scene_that_policies_are_judged_in_is_a_warning(dataset):
    file = dataset / "meta" / "episodes.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text(
        "".join(
            json.dumps(line | {"sim_task": "stack", "seed": 9999 + index}) + "\n" for index, line in enumerate(lines)
        )
    )
    assert _bad(_check(dataset)) == [("warning", "evaluation", 1, "episodes.jsonl")]


def test_episodes_with_the_same_finding_share_a_row_and_errors_come_first():
    alike = [DataFinding("warning", "gap", f"{n} gaps", "cut", n, "timestamp") for n in range(8)]
    table = rows([*alike, DataFinding("error", "finite", "3 NaN", "remove", 2, ACTION)])
    assert [(row.level, row.episodes) for row in table] == [("error", "2"), ("warning", "0, 1, 2, 3, 4, 3 more")]
    assert table[1].found == "0 gaps; episode 0 of 8"


def test_the_verb_exits_0_without_and_1_with_errors_and_writes_everything_for_programs(dataset, tmp_path, capsys):
    robot, found = tmp_path / "small.yaml", tmp_path / "found.json"
    robot.write_text(yaml.safe_dump(embodiment_to_dict(small_robot())))
    command = ["data", "check", str(dataset), "--robot", str(robot), "--json", str(found)]
    assert main(command) == 0
    _film(dataset, np.zeros((_LENGTH, HEIGHT, WIDTH, 3), np.uint8))
    assert main(command) == 1
    assert "all black" in capsys.readouterr().out
    data = json.loads(found.read_text())
    assert data["ok"] is False
    errors = [each for each in data["datasets"][0]["findings"] if each["level"] == "error"]
    assert [(each["episode"], each["column"], each["numbers"]["black"]) for each in errors] == [(1, "head", 16)]
    assert main(["data", "check"]) == 2
    assert main([*command[:3], "--robot", "nobody"]) == 2


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the published demonstration dataset is not at {REAL}")
def test_the_published_dataset_has_no_error_but_times_that_begin_a_frame_late():
    check = check_dataset(REAL)
    assert check.ok
    assert [each.episode for each in check.findings if each.name == "rate"] == [0, 1, 2, 3, 4]
    lags = {each.column: each.numbers["frames"] for each in check.findings if each.name == "action lag"}
    assert lags["action.right_arm"] == 4


@pytest.mark.parametrize("pattern", ["data/**/*1.parquet", "videos/**/*1.mp4"])
def test_whatever_bytes_are_changed_in_a_file_there_is_a_finding_or_none_but_no_crash(dataset, pattern):
    """Wrong bytes in a name came through as errors of Python's own."""
    file = next(dataset.glob(pattern))
    intact, rng = file.read_bytes(), np.random.default_rng(5)
    found = set()
    for _ in range(40):
        content = np.frombuffer(intact, np.uint8).copy()
        content[rng.integers(0, len(content), rng.integers(1, 8))] = rng.integers(0, 256)
        file.write_bytes(content.tobytes())
        found.add(_check(dataset).ok)
    assert False in found


def test_a_video_of_an_unknown_codec_is_an_error_of_its_episode(dataset):
    video = Layout(dataset).video(1, _VIDEO)
    video.write_bytes(video.read_bytes().replace(b"avc1", b"xyzw"))
    assert _bad(_check(dataset)) == [("error", "video", 1, "head")]
