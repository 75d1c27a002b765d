# SPDX-License-Identifier: Apache-2.0
"""Statistics: the streamed ones equal those of all rows at once; the metadata file keeps its schema and its other tags."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_data import episode_arrays, moving_square, small_robot, write_sample

from gr00t_policy.core.errors import CheckpointError, DatasetError
from gr00t_policy.data.dataset import LeRobotDataset
from gr00t_policy.data.dataset_statistics import published_statistics, statistics_of
from gr00t_policy.data.key_statistics import KeyStatistics, compute_statistics, quantile_neighbours
from gr00t_policy.data.normalization import NORMALISERS
from gr00t_policy.data.statistics import KeyModality, Statistics, load_metadata, save_metadata
from gr00t_policy.data.valid_rows import VALID
from gr00t_policy.data.writer import LeRobotWriter
from gr00t_policy.training.statistics import widened

_METHODS = (
    "inverted_cdf",
    "averaged_inverted_cdf",
    "closest_observation",
    "interpolated_inverted_cdf",
    "hazen",
    "weibull",
    "linear",
    "median_unbiased",
    "normal_unbiased",
)


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 60), min_size=1, max_size=5), st.integers(1, 4))
def test_streamed_statistics_equal_those_of_all_rows_at_once(seed, lengths, width):
    rng = np.random.default_rng(seed)
    blocks = [rng.normal(rng.uniform(-50, 50), rng.uniform(0.01, 5), (length, width)) for length in lengths]
    rows, stats = np.concatenate(blocks), compute_statistics(lambda: blocks)
    assert np.array_equal(stats.min, rows.min(0))
    assert np.array_equal(stats.max, rows.max(0))
    assert np.allclose(stats.mean, rows.mean(0), atol=1e-9)
    assert np.allclose(stats.std, rows.std(0), atol=1e-7)
    assert (stats.min <= stats.q01).all()
    assert (stats.q01 <= stats.q99).all()
    assert (stats.q99 <= stats.max).all()


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 450))
def test_quantiles_of_few_rows_are_those_of_numpy_also_where_neighbours_are_far_apart(seed, count):
    """The nearest value was taken: up to the whole range away, and `data check` called right ones an error."""
    rows = np.random.default_rng(seed).standard_cauchy((count, 2))
    stats = compute_statistics(lambda: np.array_split(rows, 3))
    for own, fraction in ((stats.q01, 0.01), (stats.q99, 0.99)):
        assert np.allclose(own, np.quantile(rows, fraction, axis=0), rtol=1e-9, atol=1e-9 * np.ptp(rows))


def test_quantiles_of_more_rows_than_are_sorted_are_within_a_bin_of_the_exact_ones():
    rows = np.random.default_rng(0).normal(0, 1, (100_000, 43)).astype(np.float32)
    rows[:, 0], rows[:, 1] = np.arange(len(rows)) > 999, np.arange(len(rows)) > 98999  # a place between the two values
    stats = compute_statistics(lambda: np.array_split(rows, 7))
    span = np.ptp(rows, axis=0)
    for own, fraction in ((stats.q01, 0.01), (stats.q99, 0.99)):
        assert (np.abs(own - np.quantile(rows.astype(np.float64), fraction, axis=0)) <= span / 8192).all()


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 450))
def test_a_quantile_by_any_definition_lies_between_its_neighbours(seed, count):
    rows = np.random.default_rng(seed).standard_cauchy((count, 2))
    stats = compute_statistics(lambda: [rows])
    for fraction in (0.01, 0.99):
        below, above = quantile_neighbours(lambda: np.array_split(rows, 3), stats, count, fraction)
        for method in (*_METHODS, "lower", "higher", "nearest", "midpoint"):
            quantile = np.quantile(rows, fraction, axis=0, method=method)
            assert (below <= quantile + 1e-9).all() and (quantile <= above + 1e-9).all(), method
        assert (np.sort(rows, axis=0)[min(max(int(fraction * count) - 1, 0), count - 1)] == below).all()


def test_a_dimension_that_never_changes_has_no_spread():
    stats = compute_statistics(lambda: [np.full((10, 1), 0.3)])
    assert stats.min == stats.max == stats.q01 == stats.q99 == 0.3
    assert stats.std < 1e-12


@pytest.mark.parametrize("blocks", [[], [np.zeros((0, 2))]])
def test_statistics_of_nothing_are_refused(blocks):
    with pytest.raises(DatasetError, match="no frame to compute statistics of"):
        compute_statistics(lambda: blocks)


def test_statistics_of_a_nan_are_refused():
    with pytest.raises(DatasetError, match="NaN"):
        compute_statistics(lambda: [np.array([[1.0, np.nan]])])
    with pytest.raises(DatasetError, match="NaN"):
        KeyStatistics(*([np.nan],) * 6)


def test_two_datasets_together_have_the_statistics_of_their_union(tmp_path):
    sets = [LeRobotDataset(write_sample(tmp_path / name, seeds)) for name, seeds in (("a", [0, 1]), ("b", [2]))]
    together = statistics_of(sets, "small")
    rows = np.concatenate([one.episode(entry.index).states for one in sets for entry in one.episodes])
    assert list(together.state) == ["left_arm", "right_arm", "waist"]
    assert np.allclose(together.state["right_arm"].max, rows[:, 3:5].max(0))
    assert np.allclose(together.state["waist"].mean, rows[:, 5:].mean(0))
    assert together.video["head"].resolution == (64, 48)


def marked(root: Path, valid: np.ndarray, spoilt: float) -> LeRobotDataset:
    """One episode of 12 rows whose rows 4 and 5 were commanded to be ``spoilt``, and went far too."""
    states, actions = (rows.copy() for rows in episode_arrays(small_robot(), 12, 3))
    states[4:6], actions[4:6] = 40.0, spoilt
    with LeRobotWriter(root, small_robot()) as writer:
        extra = {VALID: valid.astype(np.float32)[:, None]}
        writer.add_episode(states, actions, {"head": moving_square(12)}, "pick up the red can", extra)
        writer.finish()
    return LeRobotDataset(root)


def test_actions_that_are_not_to_be_imitated_do_not_count_and_their_states_do(tmp_path):
    valid = np.ones(12, bool)
    valid[4:6] = False
    dataset = marked(tmp_path / "some", valid, 50.0)
    found, actions = statistics_of([dataset], "small"), dataset.episode(0).actions[valid]
    for name, expected in (("min", actions.min(0)), ("max", actions.max(0)), ("mean", actions.mean(0))):
        assert np.allclose(np.concatenate([getattr(key, name) for key in found.action.values()]), expected)
    assert all((key.max == 40.0).all() for key in found.state.values())
    with pytest.raises(DatasetError, match="none of their rows is valid"):
        statistics_of([marked(tmp_path / "none", np.zeros(12, bool), 50.0)], "small")


def test_a_nan_is_refused_also_where_it_is_not_to_be_imitated(tmp_path):
    valid = np.ones(12, bool)
    valid[4:6] = False
    dataset = marked(tmp_path / "some", valid, 50.0)
    path = dataset.layout.data(0)
    table = pq.read_table(path)
    actions = np.stack(table["action"].to_pylist()).astype(np.float32)
    actions[4] = np.nan
    column = pa.FixedSizeListArray.from_arrays(pa.array(actions.ravel()), actions.shape[1])
    pq.write_table(table.set_column(table.column_names.index("action"), "action", column), path)
    with pytest.raises(DatasetError, match="actions of episode 0 hold NaN"):
        statistics_of([dataset], "small")


@pytest.mark.parametrize("mode", ["min_max", "q99", "mean_std"])
def test_joints_that_hardly_move_are_normalised_as_if_they_moved_so_much_in_every_mode(mode):
    rng, normalise = np.random.default_rng(0), NORMALISERS[mode]
    rows = np.stack([0.3 + rng.uniform(-0.002, 0.002, 500), np.full(500, -0.2), rng.uniform(-1, 1, 500)], axis=1)
    key = compute_statistics(lambda: [rows])
    found = Statistics("gr1", {"waist": key}, {"waist": key})
    wide = widened(found, 0.1).action["waist"]
    as_if = np.linspace(-0.05, 0.05, 501)[:, None] + [0.3, -0.2, 0.0]
    spread = {"min_max": np.ptp, "q99": np.ptp, "mean_std": np.std}[mode]
    assert np.allclose(spread(normalise(as_if, wide), axis=0)[:2], 1.0 if mode == "mean_std" else 2.0, rtol=0.02)
    assert np.allclose(normalise(rows, wide)[:, 2], normalise(rows, key)[:, 2]), "this one moves more"
    assert widened(found, 0.0) is found


def test_datasets_with_other_groups_are_not_taken_together(tmp_path):
    root = write_sample(tmp_path, [0])
    sets = [LeRobotDataset(root), LeRobotDataset(root, groups=["waist"])]
    with pytest.raises(DatasetError, match="has groups"):
        statistics_of(sets, "small")


@pytest.fixture
def statistics(tmp_path):
    return statistics_of([LeRobotDataset(write_sample(tmp_path / "set", [0]))], "small")


def test_the_metadata_file_has_the_published_schema_and_comes_back(tmp_path, statistics):
    path = tmp_path / "experiment_cfg" / "metadata.json"
    save_metadata(path, statistics)
    entry = json.loads(path.read_text())["small"]
    assert set(entry) == {"statistics", "modalities", "embodiment_tag"}
    assert set(entry["statistics"]["action"]["waist"]) == {"min", "max", "mean", "std", "q01", "q99"}
    assert entry["modalities"]["video"]["head"] == {"resolution": [64, 48], "channels": 3, "fps": 20.0}
    assert entry["modalities"]["state"]["left_arm"] == {
        "absolute": True,
        "rotation_type": None,
        "shape": [3],
        "continuous": True,
    }
    assert load_metadata(path, "small").to_dict() == statistics.to_dict()


def test_saving_keeps_the_entries_of_other_embodiments(tmp_path, statistics):
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps({"other": {"kept": True}}))
    save_metadata(path, statistics)
    assert json.loads(path.read_text())["other"] == {"kept": True}
    with pytest.raises(CheckpointError, match="no statistics for embodiment 'gr1'; it has: other, small"):
        load_metadata(path, "gr1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "expected one entry per embodiment tag, got list"),
        ('{"small": {}}', "not a GR00T metadata entry"),
        ('{"small": {"statistics": {"state": {"waist": {"min": [0]}}, "action": {}}}}', "not a full set of statistics"),
    ],
)
def test_a_metadata_file_that_cannot_be_used_is_named(tmp_path, content, message):
    path = tmp_path / "metadata.json"
    path.write_text(content)
    with pytest.raises(CheckpointError, match=rf"metadata\.json.*{message}"):
        load_metadata(path, "small")


def test_a_missing_metadata_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"metadata\.json is missing"):
        load_metadata(tmp_path / "metadata.json", "small")


def published_entry(**modalities) -> dict:
    """An entry as others write it: two keys, further fields that mean nothing to us."""
    numbers = {name: [0.0, 1.0] for name in ("min", "max", "mean", "std", "q01", "q99")}
    keys = {"left_arm": {**numbers, "count": [7]}, "left_leg": {"min": "not looked at"}}
    sides = {
        side: {"left_arm": {"absolute": True, "rotation_type": None, "shape": [2]}} for side in ("state", "action")
    }
    video = {"ego_view": {"resolution": [256, 256], "channels": 3, "fps": 20, "codec": "av1"}}
    return {
        "statistics": {"state": keys, "action": keys, "reward": {}},
        "modalities": {"video": video, **sides, **modalities},
        "embodiment_tag": "gr1",
        "note": "of another version",
    }


def test_the_needed_groups_are_read_from_an_entry_with_more_groups_and_fields_than_we_know(tmp_path):
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps({"gr1": published_entry()}))
    read = load_metadata(path, "gr1", ["left_arm"])
    assert list(read.state) == ["left_arm"]
    assert read.video["ego_view"].resolution == (256, 256)
    with pytest.raises(CheckpointError, match=r"state\.left_leg: not a full set of statistics"):
        load_metadata(path, "gr1")
    with pytest.raises(CheckpointError, match="no state statistics for waist; there are: left_arm, left_leg"):
        load_metadata(path, "gr1", ["left_arm", "waist"])


@pytest.mark.parametrize(
    ("side", "message"),
    [
        ({"left_arm": {"shape": [3]}}, r"has shape \[3\], its statistics have 2 values"),
        ({"left_arm": {"rotation_type": "turned"}}, "unknown rotation_type 'turned'; known: axis_angle"),
        ({"left_arm": {"absolute": "yes"}}, "absolute and continuous must be true or false"),
        ([], "'state' must be an object"),
    ],
)
def test_an_entry_that_contradicts_itself_is_refused(tmp_path, side, message):
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps({"gr1": published_entry(state=side)}))
    with pytest.raises(CheckpointError, match=message):
        load_metadata(path, "gr1", ["left_arm"])


def test_what_the_values_are_comes_from_modality_json_and_goes_into_the_metadata(tmp_path):
    root = write_sample(tmp_path / "set", [0])
    path = root / "meta" / "modality.json"
    modality = json.loads(path.read_text())
    modality["state"]["left_arm"] |= {"rotation_type": "axis_angle", "absolute": False}
    modality["action"]["waist"] |= {"dtype": "int64"}
    path.write_text(json.dumps(modality))
    statistics = statistics_of([LeRobotDataset(root)], "small")
    assert statistics.kind("state", "left_arm") == KeyModality(absolute=False, rotation_type="axis_angle")
    assert not statistics.kind("action", "waist").continuous
    save_metadata(tmp_path / "metadata.json", statistics)
    assert load_metadata(tmp_path / "metadata.json", "small").kinds == statistics.kinds
    assert published_statistics(root / "meta", "small").kinds == statistics.kinds


def test_statistics_that_others_stored_are_cut_into_groups(tmp_path):
    root = write_sample(tmp_path / "set", [0, 1])
    ours, stored = statistics_of([LeRobotDataset(root)], "small"), published_statistics(root / "meta", "small")
    for group, key in ours.state.items():
        assert np.allclose(stored.state[group].min, key.min)
        assert np.allclose(stored.action[group].q99, ours.action[group].q99, atol=1e-6)
