# SPDX-License-Identifier: Apache-2.0
"""What a stream of samples gives depends on seed and position alone; it is drawn by the shares and held in bounded memory."""

import json
import signal
import tracemalloc
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import yaml
from sample_data import HEIGHT, WIDTH, add_sample, change_sentence, moving_square, small_robot, square_column

from gr00t_policy.core.embodiment import embodiment_to_dict
from gr00t_policy.core.errors import ConfigError, DatasetError
from gr00t_policy.data.layout import Layout
from gr00t_policy.data.mixture import Mixture, open_mixture
from gr00t_policy.data.mixture_config import mixture_config_from_dict
from gr00t_policy.data.mixture_reader import MixtureReader, MixtureSample
from gr00t_policy.data.mixture_sampler import MixtureSampler, SamplerConfig, Share, Visit
from gr00t_policy.data.sample_stream import SampleStream, resumed_position
from gr00t_policy.data.video import write_video
from gr00t_policy.data.writer import LeRobotWriter

CONFIG = SamplerConfig(seed=1, block=16, frames_per_visit=4)


def write_mixture(folder: Path) -> Mixture:
    """Dataset a: episodes of 30 and 20 frames, weight 3; b: one of 40; b's first and only; c: weight 0."""
    robot = small_robot()
    for number, (name, lengths) in enumerate({"a": (30, 20), "b": (40,), "c": (12,)}.items()):
        with LeRobotWriter(folder / name, robot) as writer:
            for seed, length in enumerate(lengths):
                add_sample(writer, 10 * number + seed, length, f"{name}{seed}")
            writer.finish()
    (folder / "small.yaml").write_text(yaml.safe_dump(embodiment_to_dict(robot)))
    weights = {"a": 3, "b": 1, "c": 0}
    entries = {name: {"path": name, "embodiment": "small.yaml", "weight": weight} for name, weight in weights.items()}
    return open_mixture(mixture_config_from_dict({"datasets": entries}, folder=folder))


@pytest.fixture(scope="module")
def mixture(tmp_path_factory) -> Mixture:
    return write_mixture(tmp_path_factory.mktemp("sets"))


def taken(mixture: Mixture, count: int, position: int = 0, workers: int = 2, **options) -> list[MixtureSample]:
    with SampleStream(MixtureReader(mixture, horizon=8), options.get("config", CONFIG), position, workers) as stream:
        return list(islice(stream, count))


def same(one: MixtureSample, other: MixtureSample) -> bool:
    return (
        (one.dataset, one.episode, one.frame, one.task) == (other.dataset, other.episode, other.frame, other.task)
        and np.array_equal(one.state, other.state)
        and np.array_equal(one.actions, other.actions)
        and np.array_equal(one.images["head"], other.images["head"])
    )


@pytest.mark.parametrize(
    ("frames", "fps", "said"),
    [
        (30, 30.0, "has 30 frames, 30 a second, its episode 30 rows and fps 20"),
        (45, 20.0, "has 45 frames, 20 a second"),
    ],
)
def test_a_video_whose_frames_are_not_those_of_the_rows_is_refused(mixture, frames, fps, said):
    dataset = mixture.parts[0].dataset
    path = dataset.video_path(0, "head")
    before = path.read_bytes()
    try:
        write_video(path, moving_square(frames), fps)
        with pytest.raises(DatasetError, match=f"episode_000000.mp4 {said}.*gr00t data check"):
            MixtureReader(mixture).read(Visit(0, 0, (3,), (0,)))
        assert len(dataset.frames(0, "head", [3])) == 1, "who looks at the pictures alone still sees them"
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize("workers", [1, 3, 7])
def test_the_number_of_workers_changes_nothing(mixture, workers):
    pairs = zip(taken(mixture, 50, workers=2), taken(mixture, 50, workers=workers), strict=True)
    assert all(same(*pair) for pair in pairs)


@pytest.mark.parametrize("position", [1, 15, 16, 37])
def test_a_stream_goes_on_at_any_position_as_if_it_had_never_stopped(mixture, position):
    whole = taken(mixture, 60)
    assert all(map(same, whole[position:], taken(mixture, 60 - position, position)))


def test_a_saved_state_resumes_the_same_stream_and_refuses_another(mixture, tmp_path):
    with SampleStream(MixtureReader(mixture), CONFIG) as stream:
        list(islice(stream, 21))
        state = json.loads(json.dumps(stream.state()))
    sampler = MixtureSampler(mixture, CONFIG)
    assert resumed_position(state, sampler) == 21
    with pytest.raises(ConfigError, match="seed was 1, now it is 2"):
        resumed_position(state, MixtureSampler(mixture, SamplerConfig(2, 16, 4)))
    with pytest.raises(ConfigError, match="mixture was"):
        resumed_position({**state, "mixture": "other"}, sampler)
    for wrong in (None, {}, {"position": -1}, {"position": True}):
        with pytest.raises(ConfigError, match="not the state"):
            resumed_position(wrong, sampler)


def test_seeds_differ_and_so_do_blocks(mixture):
    visits = {seed: MixtureSampler(mixture, SamplerConfig(seed, 16)).visits(0) for seed in (0, 1)}
    assert visits[0] != visits[1]
    sampler = MixtureSampler(mixture, CONFIG)
    assert sampler.visits(0) != sampler.visits(1)
    assert sampler.visits(5) == MixtureSampler(mixture, CONFIG).visits(5)


@pytest.mark.parametrize("frames_per_visit", [1, 8])
def test_every_frame_is_drawn_as_often_as_the_shares_say(mixture, frames_per_visit):
    """Chi-squared over all 102 frames; a dataset of weight 0 is never drawn."""
    sampler = MixtureSampler(mixture, SamplerConfig(3, 4096, frames_per_visit))
    drawn: Counter[tuple[int, int, int]] = Counter()
    for block in range(12):
        for visit in sampler.visits(block):
            assert len(visit.frames) == frames_per_visit
            drawn.update((visit.part, visit.episode, frame) for frame in visit.frames)
    total = 12 * 4096
    assert {part for part, _, _ in drawn} == {0, 1}
    share = {0: 3 / (150 + 40), 1: 1 / (150 + 40)}  # of one frame
    expected = {
        (part, e, f): total * share[part] for part, e, n in ((0, 0, 30), (0, 1, 20), (1, 0, 40)) for f in range(n)
    }
    assert set(drawn) == set(expected)
    if frames_per_visit == 1:  # otherwise frames of a visit belong together
        assert sum((drawn[key] - mean) ** 2 / mean for key, mean in expected.items()) < 89 + 5 * np.sqrt(2 * 89)
    else:
        of_b = sum(count for (part, _, _), count in drawn.items() if part == 1)
        assert of_b / total == pytest.approx(40 / 190, abs=0.025)


def test_every_place_of_a_block_is_filled_once(mixture):
    visits = MixtureSampler(mixture, CONFIG).visits(3)
    assert sorted(place for visit in visits for place in visit.places) == list(range(16))
    assert [min(visit.places) for visit in visits] == sorted(min(visit.places) for visit in visits)


def test_a_sample_is_what_the_dataset_holds_at_its_frame(mixture):
    for sample in taken(mixture, 30):
        part = next(part for part in mixture.parts if part.entry.name == sample.dataset)
        episode = part.dataset.episode(sample.episode)
        assert sample.task == episode.task == f"{sample.dataset}{sample.episode}"
        assert np.array_equal(sample.state, episode.states[sample.frame])
        rows = np.minimum(np.arange(sample.frame, sample.frame + 8), len(episode) - 1)
        assert np.array_equal(sample.actions, episode.actions[rows])
        film = part.dataset.frames(sample.episode, "head", [sample.frame])[0]
        assert np.array_equal(sample.images["head"], film)
        assert square_column(film) == square_column(sample.images["head"])


def test_a_sample_has_the_sentence_of_its_row(tmp_path):
    mixture = write_mixture(tmp_path)
    change_sentence(tmp_path / "a", 0, 11, 1)
    visit = Visit(part=0, episode=0, frames=(0, 10, 11, 29), block=0, places=(0, 1, 2, 3))
    samples = MixtureReader(mixture, horizon=8).read(visit)
    assert [sample.task for sample in samples] == ["a0", "a0", "a1", "a1"]


def test_beyond_the_end_an_action_is_repeated_and_a_difference_is_zero(tmp_path):
    mixture = write_mixture(tmp_path)
    modality = Layout(tmp_path / "b").modality
    described = json.loads(modality.read_text())
    described["action"]["right_arm"]["absolute"] = False
    modality.write_text(json.dumps(described))
    mixture = open_mixture(mixture.config)
    sample = MixtureReader(mixture, horizon=4).read(Visit(1, 0, (38,), (0,)))[0]
    last = mixture.parts[1].dataset.episode(0).actions[39]
    assert np.array_equal(sample.actions[1, :], last)
    assert np.array_equal(sample.actions[2:, [0, 1, 2, 5]], np.stack([last[[0, 1, 2, 5]]] * 2))
    assert (sample.actions[2:, 3:5] == 0).all()


def test_rows_that_are_not_to_be_imitated_are_marked_from_the_first_on(tmp_path):
    robot = small_robot()
    with LeRobotWriter(tmp_path / "set", robot) as writer:
        flags = np.ones((20, 1), np.float32)
        flags[10:12] = 0
        values = np.zeros((20, 6), np.float32)
        writer.add_episode(values, values, {"head": np.zeros((20, HEIGHT, WIDTH, 3), np.uint8)}, "go", {"valid": flags})
        writer.finish()
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(embodiment_to_dict(robot)))
    entries = {"a": {"path": "set", "embodiment": "small.yaml"}}
    mixture = open_mixture(mixture_config_from_dict({"datasets": entries}, folder=tmp_path))
    early, late = MixtureReader(mixture, horizon=6).read(Visit(0, 0, (7, 12), (0, 1)))
    assert early.valid.tolist() == [True, True, True, False, False, False]
    assert late.valid.all()


def test_memory_stays_within_its_bound_however_long_the_stream_runs(mixture):
    """Python's and numpy's allocations; what FFmpeg holds while it decodes one video is beyond this count."""
    reader = MixtureReader(mixture, horizon=8, cache_bytes=3000)  # less than all episodes
    with SampleStream(reader, SamplerConfig(0, 64, 4), workers=2) as stream:
        tracemalloc.start()
        peaks = []
        for _ in range(4):
            tracemalloc.reset_peak()
            for _ in range(96):
                next(stream)
            peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        overhead = 2 * 2 * 4 * reader.sample_bytes + 500_000  # each worker's own visit, twice; objects
        assert max(peaks) < stream.memory_bound_bytes + overhead
        assert stream.memory_bound_bytes == 2 * 64 * reader.sample_bytes + 3000
        assert reader.sample_bytes == 3 * HEIGHT * WIDTH + 4 * 6 * 9 + 8 + 4 * 4
        assert max(peaks) > 64 * reader.sample_bytes  # it does read ahead
    assert reader._held <= 3000


def test_a_damaged_video_is_an_error_at_its_sample_not_before(tmp_path):
    mixture = write_mixture(tmp_path)
    video = Layout(tmp_path / "b").video(0, "observation.images.head")
    video.write_bytes(b"no video")
    first = next(number for number, sample in enumerate(_draws(mixture, 64)) if sample == 1)
    with SampleStream(MixtureReader(mixture), CONFIG) as stream:
        assert len(list(islice(stream, first))) == first
        with pytest.raises(DatasetError, match="not a readable video"):
            next(stream)


def _draws(mixture: Mixture, count: int) -> list[int]:
    """Part of each of the first samples."""
    sampler, parts = MixtureSampler(mixture, CONFIG), {}
    for block in range(count // 16):
        for visit in sampler.visits(block):
            parts.update({16 * block + place: visit.part for place in visit.places})
    return [parts[place] for place in sorted(parts)]


@pytest.mark.parametrize(("block", "frames"), [(0, 1), (16, 3), (16, 0), (8, 16)])
def test_a_block_that_visits_do_not_fill_is_refused(block, frames):
    with pytest.raises(ConfigError, match="must be at least 1 and the second divide the first"):
        SamplerConfig(0, block, frames)
    with pytest.raises(ConfigError, match="seed must lie"):
        SamplerConfig(-1)


def test_worker_processes_give_the_same_samples_and_resume_exactly(mixture):
    from gr00t_policy.training.mixture_loader import MixtureLoader

    expected = taken(mixture, 45)
    loader = MixtureLoader(MixtureReader(mixture, horizon=8), CONFIG, batch_size=10, position=5, workers=2)
    batches = list(islice(loader, 4))
    assert loader.position == resumed_position(loader.state(), MixtureSampler(mixture, CONFIG)) == 45
    loader.close()
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL, "who starts other programs must not run torch's handler"
    assert [len(batch) for batch in batches] == [10] * 4
    assert all(map(same, expected[5:], [sample for batch in batches for sample in batch]))


def test_after_a_file_that_cannot_be_read_the_loader_stays_before_it(tmp_path):
    from gr00t_policy.training.mixture_loader import MixtureLoader

    mixture = write_mixture(tmp_path)
    Layout(tmp_path / "b").video(0, "observation.images.head").write_bytes(b"no video")
    first = next(number for number, part in enumerate(_draws(mixture, 64)) if part == 1)
    loader = MixtureLoader(MixtureReader(mixture), CONFIG, batch_size=1, workers=1)
    assert len(list(islice(loader, first))) == first
    for _ in range(2):
        with pytest.raises(DatasetError, match="not a readable video"):
            next(loader)
        assert loader.position == first, "nothing is left out"
    loader.close()


@pytest.mark.parametrize("of", [2, 3])
def test_shares_of_a_stream_together_are_the_stream_and_read_nothing_twice(mixture, of):
    run, expected = 5, taken(mixture, 60)
    reader = MixtureReader(mixture, horizon=8)
    for number in range(of):
        share = Share(run, number, of)
        wanted = [place for place in range(60) if share.wants(place)]
        with SampleStream(reader, CONFIG, 0, 2, share) as stream:
            assert all(map(same, islice(stream, len(wanted)), [expected[place] for place in wanted]))
            assert stream.position == share.first_from(60)
    with pytest.raises(ConfigError, match="number in 0 to 1"):
        Share(5, 2, 2)
