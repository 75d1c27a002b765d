# SPDX-License-Identifier: Apache-2.0
"""A mixture says what it draws how often, refuses what does not belong together, and knows the statistics of the whole."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from mutated_json import mutated
from sample_data import add_sample, small_robot

from gr00t_policy.core.embodiment import embodiment_to_dict
from gr00t_policy.core.errors import ConfigError, DatasetError, EmbodimentError, Gr00tError
from gr00t_policy.data.key_statistics import compute_statistics
from gr00t_policy.data.mixture import open_mixture
from gr00t_policy.data.mixture_config import MixtureConfig, load_mixture_config, mixture_config_from_dict
from gr00t_policy.data.mixture_statistics import merge_keys, mixture_statistics
from gr00t_policy.data.writer import LeRobotWriter

EPISODES = {"a": (30, 20), "b": (40,)}


def write_dataset(root: Path, lengths: tuple[int, ...], seed: int = 0, **changes) -> Path:
    """changes: of the robot; fps."""
    fps = changes.pop("fps", 20.0)
    with LeRobotWriter(root, small_robot(**changes), fps=fps) as writer:
        for number, length in enumerate(lengths):
            add_sample(writer, seed + number, length, f"task {number}")
        writer.finish()
    return root


def write_robot(path: Path, **changes) -> Path:
    path.write_text(yaml.safe_dump(embodiment_to_dict(small_robot(**changes))))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two datasets of one robot, and the robot's file."""
    root = tmp_path_factory.mktemp("mixture")
    for seed, (name, lengths) in enumerate(EPISODES.items()):
        write_dataset(root / name, lengths, 10 * seed)
    write_robot(root / "small.yaml")
    return root


def plain(**changes) -> dict:
    """The mixture of both as plain data; changes: of dataset b, None takes a key away."""
    entry = {"path": "b", "embodiment": "small.yaml", **changes}
    b = {key: value for key, value in entry.items() if value is not None}
    return {"datasets": {"a": {"path": "a", "embodiment": "small.yaml", "weight": 2}, "b": b}}


def config(folder: Path, **changes) -> MixtureConfig:
    return mixture_config_from_dict(plain(**changes), folder=folder)


def test_the_file_is_read_with_paths_seen_from_its_folder(folder, tmp_path):
    file = folder / "pyramid.yaml"
    file.write_text(yaml.safe_dump(plain(hold_out=[0], weight=0.5) | {"balance_dataset_weights": False}))
    read = load_mixture_config(file)
    assert [entry.path for entry in read.datasets] == [folder / "a", folder / "b"]
    assert (read.datasets[1].weight, read.datasets[1].hold_out) == (0.5, (0,))
    assert not read.balance_dataset_weights
    with pytest.raises(ConfigError, match=r"absent.yaml is missing; give the YAML"):
        load_mixture_config(tmp_path / "absent.yaml")


@pytest.mark.parametrize("spelling", ["b/../a", "{folder}/a", "link", "../mixed/a"])
def test_a_dataset_is_listed_once_however_its_path_is_spelled(folder, tmp_path, monkeypatch, spelling):
    """What one entry held out was drawn by the other."""
    root = tmp_path / "mixed"
    root.mkdir()
    for name in ("a", "b"):
        (root / name).symlink_to(folder / name)
    (root / "link").symlink_to("a")
    monkeypatch.chdir(root)
    with pytest.raises(ConfigError, match=f"datasets 'a' and 'b' are both {folder / 'a'}; list it once"):
        mixture_config_from_dict(plain(path=spelling.format(folder=root)))
    assert len(mixture_config_from_dict(plain()).datasets) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"wieght": 1}, "dataset 'b': unknown key 'wieght'; known: path, embodiment, weight, hold_out"),
        ({"path": None}, "dataset 'b': path missing"),
        ({"weight": -1}, "weight must be a number from 0, got -1"),
        ({"weight": float("nan")}, "weight must be a number from 0, got nan"),
        ({"weight": True}, "weight must be a number from 0, got True"),
        ({"hold_out": [1, 1]}, "different episodes"),
        ({"hold_out": 3}, "list of episode numbers"),
        ({"path": "a"}, "datasets 'a' and 'b' are both"),
    ],
)
def test_a_wrong_entry_is_refused_by_name(folder, changes, message):
    with pytest.raises(ConfigError, match=message):
        config(folder, **changes)


def test_unknown_keys_of_the_mixture_and_a_mixture_of_nothing_are_refused():
    with pytest.raises(ConfigError, match="unknown key 'seeed'"):
        mixture_config_from_dict({"datasets": {}, "seeed": 1})
    with pytest.raises(ConfigError, match="at least one dataset with a weight above 0"):
        mixture_config_from_dict({"datasets": {}})
    with pytest.raises(
        ConfigError, match="percentile_mixing_method 'mean' is unknown; known: weighted_average, min_max"
    ):
        mixture_config_from_dict(plain() | {"percentile_mixing_method": "mean"})


def test_datasets_are_drawn_by_weight_and_size_or_by_weight_alone(folder):
    by_size = open_mixture(config(folder))
    assert by_size.shares == pytest.approx([2 * 50 / 140, 40 / 140])
    assert by_size.episode_shares(0) == pytest.approx([0.6, 0.4])
    flat = {"balance_dataset_weights": False, "balance_trajectory_weights": False}
    alike = open_mixture(mixture_config_from_dict(plain() | flat, folder=folder))
    assert alike.shares == pytest.approx([2 / 3, 1 / 3])
    assert alike.episode_shares(0) == pytest.approx([0.5, 0.5])
    assert alike.fingerprint != by_size.fingerprint


def test_held_out_episodes_are_not_drawn_and_not_in_the_statistics(folder):
    data = plain()
    data["datasets"]["a"]["hold_out"] = [0]
    held = open_mixture(mixture_config_from_dict(data, folder=folder))
    assert (held.parts[0].episodes.tolist(), held.parts[0].frames) == ([1], 20)
    own, _ = mixture_statistics(held)
    rows = held.parts[0].dataset.episode(1).states
    assert own["a"].state["waist"].max == pytest.approx(rows[:, 5:].max(axis=0))


def test_what_is_empty_unknown_or_of_another_robot_is_refused_by_name(folder, tmp_path):
    with pytest.raises(DatasetError, match="dataset 'b': nothing is left, all 1 episodes are held out"):
        open_mixture(config(folder, hold_out=[0]))
    with pytest.raises(ConfigError, match="dataset 'b' has no episode 7 to hold out; it has 0 to 0"):
        open_mixture(config(folder, hold_out=[7]))
    with pytest.raises(DatasetError, match="dataset 'b': .*info.json is missing"):
        open_mixture(config(folder, path="absent"))
    with pytest.raises(EmbodimentError, match="dataset 'b': no embodiment 'nobody'"):
        open_mixture(config(folder, embodiment="nobody"))
    with pytest.raises(DatasetError, match="dataset 'b': .* does not fit robot 'gr1': no state group"):
        open_mixture(config(folder, embodiment="gr1"))
    named = write_dataset(tmp_path / "gr1", (12,), name="gr1")
    with pytest.raises(
        DatasetError, match=r"was recorded by 'gr1' \(embodiment tag 'gr1'\), not by 'small' \('small'\)"
    ):
        open_mixture(config(folder, path=str(named)))
    swapped = tuple(reversed(small_robot().joints))
    turned = write_dataset(tmp_path / "turned", (12,), joints=swapped)
    with pytest.raises(DatasetError, match="another robot or another order of joints"):
        open_mixture(config(folder, path=str(turned)))


def test_two_rates_of_one_embodiment_are_refused_and_of_two_are_not(folder, tmp_path):
    slow = write_dataset(tmp_path / "slow", (12,), fps=10.0)
    with pytest.raises(DatasetError, match=r"'a' \(20 Hz\) and 'b' \(10 Hz\) are both of embodiment 'small'"):
        open_mixture(config(folder, path=str(slow)))
    other = write_robot(tmp_path / "other.yaml", tag="other")
    assert open_mixture(config(folder, path=str(slow), embodiment=str(other))).tags == ("small", "other")


def test_merged_mean_deviation_and_extremes_are_those_of_samples_drawn_from_the_mixture():
    rng = np.random.default_rng(0)
    one, two = rng.normal(0, 1, (3000, 2)), rng.normal(4, 2, (1000, 2))
    keys = [compute_statistics(lambda rows=rows: [rows]) for rows in (one, two)]
    merged = merge_keys(keys, [3.0, 1.0], "weighted_average")  # the shares of one pile of all rows
    whole = compute_statistics(lambda: [one, two])
    for name in ("min", "max", "mean", "std"):
        assert getattr(merged, name) == pytest.approx(getattr(whole, name)), name
    assert merged.q99 == pytest.approx(0.75 * keys[0].q99 + 0.25 * keys[1].q99)
    widest = merge_keys(keys, [3.0, 1.0], "min_max")
    assert np.array_equal(widest.q99, keys[1].q99) and np.array_equal(widest.q01, np.minimum(keys[0].q01, keys[1].q01))


def test_statistics_are_merged_for_each_tag_by_the_shares_in_which_is_drawn(folder, tmp_path):
    mixture = open_mixture(config(folder))
    own, merged = mixture_statistics(mixture)
    share = mixture.shares
    expected = share[0] * own["a"].action["left_arm"].mean + share[1] * own["b"].action["left_arm"].mean
    assert merged["small"].action["left_arm"].mean == pytest.approx(expected)
    other = write_robot(tmp_path / "other.yaml", tag="other")
    _, apart = mixture_statistics(open_mixture(config(folder, embodiment=str(other))))
    assert list(apart) == ["small", "other"]
    assert apart["other"].to_dict()["statistics"] == own["b"].to_dict()["statistics"]


def test_a_damaged_mixture_file_gives_only_errors_of_ours(folder):
    """JSON is YAML: the damaged copies of one are those of the other. What can be read can also be opened, or is refused."""
    file = folder / "damaged.yaml"
    text = json.dumps(plain(hold_out=[], weight=0.5) | {"balance_dataset_weights": True})
    found: Counter[str] = Counter()
    for content in mutated(text, 120, seed=9):
        file.write_bytes(content[:20_000])
        try:
            open_mixture(load_mixture_config(file))
            found["read"] += 1
        except Gr00tError as error:
            found[type(error).__name__] += 1
    assert set(found) <= {"read", "ConfigError", "DatasetError", "EmbodimentError"}
    assert found["ConfigError"] > 40
    assert found["read"] > 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: b: c",
        "datasets: &x {x: *x}",
        "datasets: !!python/name:os.system ''",
        "2020-13-45",
        "? [1]\n: 2",
        "[" * 3000,
        "\t",
    ],
)
def test_odd_yaml_is_refused_as_a_wrong_config(tmp_path, text):
    (tmp_path / "odd.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"odd\.yaml"):
        load_mixture_config(tmp_path / "odd.yaml")
