# SPDX-License-Identifier: Apache-2.0
"""Results on disk: nothing lost, nothing doubled, nothing of another checkpoint mixed in."""

import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_results import SETTINGS, made_identity, made_result, made_results

from gr00t_sim.evaluation.episode import EvaluationError, result_from_dict, result_to_dict
from gr00t_sim.evaluation.result_folder import EPISODES, IDENTITY, open_results, read_results


@given(st.text(), st.booleans(), st.floats(0, 1), st.integers(0))
def test_a_result_read_back_is_the_one_written(said, success, progress, seed):
    result = made_result(seed, success=success, progress=progress, said=said)
    assert result_from_dict(result_to_dict(result)) == result


def test_a_run_killed_at_any_byte_goes_on_and_ends_with_every_episode_once(tmp_path):
    results = made_results([True, False, True])
    with open_results(tmp_path / "whole", made_identity()) as whole:
        for result in results:
            whole.add(result)
    content = (tmp_path / "whole" / EPISODES).read_bytes()
    folder = tmp_path / "cut"
    for length in range(0, len(content) + 1, 53):
        with open_results(folder, made_identity(), fresh=True):
            (folder / EPISODES).write_bytes(content[:length])
        before = read_results(folder)[1]
        assert list(before.values()) == results[: content[:length].count(b"\n")]
        with open_results(folder, made_identity()) as again:
            for result in results:
                again.add(result)
        assert (folder / EPISODES).read_bytes() == content


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (made_identity(checkpoint="b" * 64), "checkpoint"),
        (made_identity(settings=replace(SETTINGS, max_s=5.0)), "max_s: 20.0 there, 5.0 here"),
        (made_identity(code="d" * 64), "code of simulator and policy"),
    ],
)
def test_results_of_another_checkpoint_settings_or_code_are_refused_by_name(tmp_path, other, named):
    with open_results(tmp_path, made_identity()) as results:
        results.add(made_result(0))
    with pytest.raises(EvaluationError, match=named), open_results(tmp_path, other):
        pass
    assert other.folder_name != made_identity().folder_name
    with open_results(tmp_path, other, fresh=True) as results:
        assert results.results == {}


def test_results_from_before_a_setting_are_read_compared_and_gone_on_with(tmp_path):
    """Each line has the mark of the settings that there were; with those of today it was taken for a stranger's."""
    before = {name: value for name, value in asdict(SETTINGS).items() if name != fields(SETTINGS)[-1].name}
    older = replace(made_identity(), written=before)
    assert older.digest != made_identity().digest
    with open_results(tmp_path, older) as results:
        results.add(made_result(0))
    content = (tmp_path / IDENTITY).read_bytes()
    assert json.loads(content)["settings"] == before
    identity, read = read_results(tmp_path)
    assert list(read.values()) == [made_result(0)]
    assert identity.settings == SETTINGS and identity.differences(made_identity()) == {}
    assert identity.folder_name == older.folder_name
    with open_results(tmp_path, made_identity()) as results:
        results.add(made_result(1))
    assert list(read_results(tmp_path)[1].values()) == [made_result(0), made_result(1)]
    assert (tmp_path / IDENTITY).read_bytes() == content
    differing = made_identity(settings=replace(SETTINGS, tokenizer="elsewhere"))
    with pytest.raises(EvaluationError, match="tokenizer:  there, elsewhere here"), open_results(tmp_path, differing):
        pass


def test_a_checkpoint_that_moved_is_still_the_same(tmp_path):
    with open_results(tmp_path, made_identity()) as results:
        results.add(made_result(0))
    with open_results(tmp_path, made_identity(folder="elsewhere/tiny")) as results:
        assert len(results.results) == 1


def test_two_evaluations_do_not_write_to_one_folder_at_a_time(tmp_path):
    with (
        open_results(tmp_path, made_identity()),
        pytest.raises(EvaluationError, match="another evaluation is writing"),
        open_results(tmp_path, made_identity()),
    ):
        pass


def test_a_line_of_another_checkpoint_is_found_and_named(tmp_path):
    for name, hash_ in (("one", "a" * 64), ("two", "b" * 64)):
        with open_results(tmp_path / name, made_identity(checkpoint=hash_)) as results:
            results.add(made_result(0))
    with (tmp_path / "one" / EPISODES).open("a") as file:
        file.write((tmp_path / "two" / EPISODES).read_text())
    with pytest.raises(EvaluationError, match="line 2"):
        read_results(tmp_path / "one")


def test_an_episode_with_two_different_ends_is_an_error(tmp_path):
    for name, success in (("one", True), ("two", False)):
        with open_results(tmp_path / name, made_identity()) as results:
            results.add(made_result(4, success=success))
    with (tmp_path / "one" / EPISODES).open("a") as file:
        file.write((tmp_path / "two" / EPISODES).read_text())
    with pytest.raises(EvaluationError, match="seed 4 is there twice"):
        read_results(tmp_path / "one")


def test_lines_that_are_no_results_are_named(tmp_path):
    with open_results(tmp_path, made_identity()):
        pass
    for line in (b'{"seed": 3}\n', b"[1]\n", b"\xff\n", b"\n"):
        (tmp_path / EPISODES).write_bytes(line)
        with pytest.raises(EvaluationError, match="line 1 is no result"):
            read_results(tmp_path)
    (tmp_path / IDENTITY).write_text("{}\n")
    with pytest.raises(EvaluationError, match="does not say what the results were made with"):
        read_results(tmp_path)


def test_a_disk_that_is_full_is_one_error_and_what_was_finished_is_gone_on_with(tmp_path):
    full = Path("/dev/full")
    folder = tmp_path / "results"
    with open_results(folder, made_identity()) as results:
        results.add(made_result(0))
        (folder / EPISODES).rename(tmp_path / "kept")
        (folder / EPISODES).symlink_to(full)
        with pytest.raises(EvaluationError, match=f"{folder} cannot be written .*No space left.*make room"):
            results.add(made_result(1))
        assert list(results.results) == [made_result(0).key], "it does not count as done"
    (folder / EPISODES).unlink()
    (tmp_path / "kept").rename(folder / EPISODES)
    with open_results(folder, made_identity()) as results:
        assert list(results.results.values()) == [made_result(0)]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(EvaluationError, match="file/results cannot be written"),
        open_results(tmp_path / "file" / "results", made_identity()),
    ):
        pass
