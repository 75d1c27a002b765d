# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning: what is frozen stays, what is tuned moves, what is held out is never looked at, a stopped run goes on."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from released_folder import edit_json, write_release_folder
from sample_data import REAL
from small_checkpoint import SENTENCE, save_small_checkpoint, small_config, unit_statistics

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import CheckpointError, ConfigError, DatasetError, EmbodimentError
from gr00t_policy.data.fitting import robot_in_dataset
from gr00t_policy.data.layout import ACTION
from gr00t_policy.data.published_images import PublishedImageTransform
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.data.transforms import to_network
from gr00t_policy.data.writer import LeRobotWriter
from gr00t_policy.model.checkpoint import load_checkpoint, save_checkpoint
from gr00t_policy.model.tokenizer import train_tokenizer
from gr00t_policy.model.vla import build_vla
from gr00t_policy.runtime.backends import load_backend
from gr00t_policy.runtime.torch_backend import TorchBackend
from gr00t_policy.training import finetune, loop
from gr00t_policy.training.batches import DemonstrationBatches, streams
from gr00t_policy.training.finetune import FinetuneConfig, with_slot
from gr00t_policy.training.learnt_data import learnt_entry
from gr00t_policy.training.loop import RESUME, TrainingRun, read_progress

FRAMES = 24
HELD_OUT = 1
FAR_RAD = 0.5  # where the held-out episode's joints are: statistics that had seen it would show it


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """Three short episodes of the GR-1; the second one moves where the others never are."""
    torch.set_num_threads(1)
    robot = load_embodiment("gr1")
    root = tmp_path_factory.mktemp("data") / "recorded"
    rng = np.random.default_rng(0)
    with LeRobotWriter(root, robot, image_sizes={"ego_view": (56, 72)}) as writer:
        for episode in range(3):
            joints = rng.normal(0, 0.01, (FRAMES + 1, len(robot.policy_joints))).cumsum(axis=0)
            joints += FAR_RAD * (episode == HELD_OUT)
            pictures = rng.integers(0, 256, (FRAMES, 56, 72, 3), np.uint8)
            writer.add_episode(joints[:-1], joints[1:], {"ego_view": pictures}, f"sort the bolts, box {episode}")
        writer.finish()
    return root


@pytest.fixture(scope="module")
def init(tmp_path_factory) -> Path:
    return save_small_checkpoint(tmp_path_factory.mktemp("init") / "checkpoint")


@pytest.fixture
def config_for(dataset, init, tmp_path) -> Callable[..., FinetuneConfig]:
    return lambda **changes: replace(short(dataset, init, tmp_path / "run"), **changes)


@pytest.fixture(scope="module")
def done(dataset, init, tmp_path_factory) -> FinetuneConfig:
    """A run that was not interrupted."""
    config = short(dataset, init, tmp_path_factory.mktemp("done") / "run")
    assert finetune.run(config) == 0
    return config


def short(dataset: Path, init: Path, out: Path) -> FinetuneConfig:
    return FinetuneConfig(
        dataset=dataset, init=init, out=out, hold_out=(HELD_OUT,), steps=3, batch=2, lr=1e-3, threads=1, save_every=1
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """As they lie in the file: the initial checkpoint is stored in float32, the result in bfloat16."""
    return {name: value.bfloat16() for name, value in load_checkpoint(folder).load_weights().state_dict().items()}


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor], prefix: str) -> set[bool]:
    return {not torch.equal(before[name], after[name]) for name in before if name.startswith(prefix)}


def test_the_language_model_stays_to_the_last_bit_and_the_rest_learns(done, init):
    before, after = weights(init), weights(done.out / "checkpoint")
    assert moved(before, after, "backbone.language.") == {False}
    assert moved(before, after, "aux.") == {False}
    for part in ("backbone.vision.", "backbone.connector.", "backbone.linear.", "head.dit.", "head.action_decoder."):
        assert True in moved(before, after, part), part
    log = [json.loads(line) for line in (done.out / "log.jsonl").open()]
    assert all(np.isfinite([line["flow"], line["flow_held_out"], line["gradient"]]).all() for line in log)
    assert (done.out / "loss.png").stat().st_size > 1000


class Corner:
    """A random generator that draws one given cut."""

    def __init__(self, *corner: int) -> None:
        self._corner = corner

    def integers(self, low: int, high: np.ndarray) -> tuple[int, ...]:
        return self._corner


def every_cut(image: PublishedImageTransform, frames: np.ndarray) -> set[bytes]:
    """The network's pictures of every cut of the frames."""
    rooms = [length - int(length * image.crop_fraction) + 1 for length in frames.shape[1:3]]
    corners = [(top, left) for top in range(rooms[0]) for left in range(rooms[1])]
    return {to_network(image.random(frame, Corner(*corner))).tobytes() for frame in frames for corner in corners}


def test_a_released_checkpoint_learns_from_pictures_as_it_will_see_them_and_is_served_as_one(
    dataset, tmp_path, monkeypatch
):
    released = write_release_folder(tmp_path / "released")
    config = replace(short(dataset, released, tmp_path / "run"), jitter=0.0)
    drawn: list[np.ndarray] = []
    draw = DemonstrationBatches.draw

    def watching(self, *arguments):
        drawn.append((batch := draw(self, *arguments))["pixel_values"])
        return batch

    monkeypatch.setattr(DemonstrationBatches, "draw", watching)
    finetune.run(config)
    checkpoint = load_checkpoint(config.out / "checkpoint", "gr1")
    before, after = weights(released), weights(config.out / "checkpoint")
    assert moved(before, after, "backbone.language.") == {False}
    assert True in moved(before, after, "backbone.vision.") and True in moved(before, after, "head.dit.")
    image = PublishedImageTransform(checkpoint.config.vision.image_size, checkpoint.config.crop_fraction)
    seen = {pictures[0].tobytes() for batch in drawn for pictures in batch}
    recorded = np.concatenate([LeRobotDataset(dataset).frames(episode, "ego_view") for episode in range(3)])
    assert seen <= every_cut(image, recorded)
    assert isinstance(load_backend(checkpoint, part="head"), TorchBackend)


def test_a_released_checkpoint_is_tuned_for_a_robot_that_it_does_not_know_from_recordings_without_sentences(
    dataset, tmp_path, monkeypatch
):
    """Neither the robot's tag nor gr1 is in its metadata; the slot is the robot's own, the sentence GR00T N1's default."""
    released, mute = write_release_folder(tmp_path / "released"), Path(shutil.copytree(dataset, tmp_path / "mute"))
    edit_json(released / "experiment_cfg/metadata.json", lambda data: data.update(so100=data.pop("gr1")))
    edit_json(mute / "meta/modality.json", lambda data: data.pop("annotation"))
    edit_json(mute / "meta/info.json", lambda data: data.update(robot_type="lab_gr1"))
    robot = tmp_path / "lab_gr1.yaml"
    robot.write_text("{extends: gr1, name: lab_gr1, tag: lab, projector_index: 30}")
    drawn: list[dict[str, np.ndarray]] = []
    draw = DemonstrationBatches.draw
    monkeypatch.setattr(DemonstrationBatches, "draw", lambda *given: drawn.append(batch := draw(*given)) or batch)
    config = replace(short(mute, released, tmp_path / "run"), embodiment=str(robot), steps=1, hold_out=())
    with pytest.raises(CheckpointError, match="no statistics for embodiment 'lab'; it has: so100"):
        load_checkpoint(released, str(robot))
    assert finetune.run(config) == 0
    tuned = load_checkpoint(config.out / "checkpoint")
    assert (tuned.embodiment.name, tuned.slot, tuned.config.slot("new_embodiment")) == ("lab_gr1", 30, 31)
    assert {int(slot) for batch in drawn for slot in batch["embodiment_id"]} == {30}
    default = tuned.prompt.encode("Perform the default behavior.").input_ids
    assert drawn and all((row == default).all() for batch in drawn for row in batch["input_ids"])


def test_a_network_of_another_form_does_not_learn_without_sentences(config_for, dataset, tmp_path):
    mute = Path(shutil.copytree(dataset, tmp_path / "mute"))
    edit_json(mute / "meta/modality.json", lambda data: data.pop("annotation"))
    with pytest.raises(DatasetError, match="the dataset has no sentences"):
        finetune.run(config_for(dataset=mute))


def test_only_the_slot_of_the_robot_is_changed(config_for, init):
    config = config_for(weight_decay=0.0, slot="new_embodiment", steps=2)
    finetune.run(config)
    checkpoint = load_checkpoint(config.out / "checkpoint", "gr1")
    assert checkpoint.slot == load_checkpoint(init).config.slot("new_embodiment")
    before, after = weights(init), weights(config.out / "checkpoint")
    changed = (before["head.state_encoder.layer1.W"] != after["head.state_encoder.layer1.W"]).flatten(1).any(dim=1)
    assert changed.nonzero().flatten().tolist() == [checkpoint.slot]


def test_each_part_can_be_left_as_it_is(config_for, init):
    config = config_for(tune_llm=True, tune_visual=False, tune_projector=False, tune_diffusion_model=False, steps=1)
    finetune.run(config)
    before, after = weights(init), weights(config.out / "checkpoint")
    assert True in moved(before, after, "backbone.language.") and True in moved(before, after, "backbone.linear.")
    for part in ("backbone.vision.", "backbone.connector.", "head."):
        assert moved(before, after, part) == {False}, part


def test_what_is_held_out_is_neither_drawn_nor_counted(config_for, dataset):
    config = config_for()
    drawn: set[str] = set()
    original = TrainingRun._optimise

    def watching(self, stage, inside):
        batch = self._demonstrations.draw(streams(inside, places=range(8)), 1)
        drawn.update(map(bytes, batch["input_ids"]))
        assert np.abs(batch["action"][..., :29]).max() < 1.0 + 1e-5, "an action outside what the statistics saw"
        return original(self, stage, inside)

    TrainingRun._optimise = watching
    try:
        finetune.run(config)
    finally:
        TrainingRun._optimise = original
    checkpoint = load_checkpoint(config.out / "checkpoint")
    tasks = [f"sort the bolts, box {number}" for number in range(3)]
    ids = [bytes(checkpoint.prompt.encode(task).input_ids) for task in tasks]
    assert {ids[0], ids[2]} == drawn, "both others were learnt from, and nothing else"
    learnt = np.concatenate([LeRobotDataset(dataset).episode(number).actions for number in (0, 2)])
    stored = np.concatenate([item.max for item in checkpoint.statistics.action.values()])
    np.testing.assert_allclose(stored, learnt.max(axis=0), atol=1e-6)
    assert (checkpoint.card["episodes"], checkpoint.card["held_out"]) == ([0, 2], [HELD_OUT])
    assert checkpoint.card["datasets"] == [learnt_entry(LeRobotDataset(dataset), [HELD_OUT])]


def test_the_loss_of_what_is_held_out_is_in_the_first_line_of_so_many_steps_however_often_is_logged(
    config_for, monkeypatch
):
    """With lines that fall on no multiple of them it was in every third or tenth of them, or in the last alone."""
    monkeypatch.setattr(loop, "_CHECK_EVERY", 10)
    for log_every, expected in ((3, [12, 21, 22]), (5, [10, 20, 22]), (15, [15, 22])):
        config = config_for(
            steps=22, batch=1, log_every=log_every, save_every=100, out=config_for().out / str(log_every)
        )
        finetune.run(config)
        lines = [json.loads(line) for line in (config.out / "log.jsonl").open()]
        assert [line["step"] for line in lines if "flow_held_out" in line] == expected, log_every


def test_a_stopped_run_goes_on_where_it_was_and_ends_the_same(done, config_for):
    cut = config_for()
    original = TrainingRun._save

    class StoppedError(Exception):
        pass

    def stop(self):
        original(self)
        raise StoppedError

    TrainingRun._save = stop
    try:
        with pytest.raises(StoppedError):
            finetune.run(cut)
    finally:
        TrainingRun._save = original
    finetune.run(cut)
    first, second = weights(done.out / "checkpoint"), weights(cut.out / "checkpoint")
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=2e-2, atol=1e-3, msg=name)
    assert json.loads((cut.out / "log.jsonl").read_text().splitlines()[-1])["step"] == 3


def test_a_folder_of_another_run_is_not_continued(done):
    with pytest.raises(ConfigError, match="another hold_out; use another --out"):
        finetune.run(replace(done, hold_out=(0,)))


def test_the_result_is_for_the_robot_as_it_was_recorded_also_when_computed_in_bfloat16(config_for):
    config = config_for(groups=("right_arm", "right_hand"), mixed_precision=True, steps=1)
    finetune.run(config)
    assert np.isfinite(json.loads((config.out / "log.jsonl").read_text())["flow"])
    robot = load_checkpoint(config.out / "checkpoint", "gr1").embodiment
    assert robot.policy_groups == ("right_arm", "right_hand")
    assert (robot.cameras[0].height, robot.cameras[0].width) == (56, 72)


def test_any_sentence_encodes_with_the_tokenizer_it_started_with(done, init):
    prompt, first = load_checkpoint(done.out / "checkpoint").prompt, load_checkpoint(init).prompt
    for sentence in (SENTENCE, "pick the cupcake from the counter", "größe 5: 机器人"):
        ids = prompt.tokenizer.encode(sentence, add_special_tokens=False).ids
        assert ids == first.tokenizer.encode(sentence, add_special_tokens=False).ids
        assert prompt.tokenizer.decode(ids).strip() == sentence


def test_the_learning_rate_rises_for_a_twentieth_and_falls_to_nothing():
    from gr00t_policy.training.loop import _rate

    stage = FinetuneConfig(dataset=Path("d"), init=Path("i"), out=Path("o"), steps=1000).loop().stages["finetune"]
    rates = [_rate(stage, step) for step in range(1000)]
    assert max(rates) == pytest.approx(1e-4) and rates[49] == rates[50] == max(rates)
    assert rates[24] == pytest.approx(0.5e-4)
    assert rates[525] == pytest.approx(0.5e-4, rel=1e-6), "half-way between warm-up and end"
    assert rates[-1] < 1e-9


def test_what_does_not_fit_is_named_at_once(config_for, dataset, tmp_path):
    robot = load_embodiment("gr1")
    with pytest.raises(DatasetError) as found:
        robot_in_dataset(replace(robot, cameras=(replace(robot.cameras[0], name="wrist"),)), dataset, ("neck", "waist"))
    for part in ("no state group neck", "no action group neck", "no camera wrist", "it has: ego_view"):
        assert part in str(found.value)
    with pytest.raises(EmbodimentError, match="no joints in group"):
        finetune.run(config_for(groups=("tail",)))
    with pytest.raises(DatasetError, match="no episode 7 to hold out"):
        finetune.run(config_for(hold_out=(7,)))
    with pytest.raises(ConfigError, match="all 3 episodes are held out"):
        finetune.run(config_for(hold_out=(0, 1, 2)))
    with pytest.raises(ConfigError, match="offset_groups names 'tail'"):
        finetune.run(config_for(offset_groups=("tail",), offset_share=0.1))
    with pytest.raises(ConfigError, match="offset_share needs offset_groups"):
        config_for(offset_share=0.1)
    with pytest.raises(ConfigError, match="no slot for embodiment 'spot'"):
        finetune.run(config_for(slot="spot"))


def test_a_robot_too_wide_for_the_network_is_refused_before_anything_is_decoded(config_for, tmp_path):
    config = small_config()
    robot = replace(load_embodiment("gr1"), policy_groups=("right_arm", "right_hand"))
    model = build_vla(replace(config, head=replace(config.head, action_dim=13)), 0)
    save_checkpoint(tmp_path / "narrow", model, robot, unit_statistics(robot), train_tokenizer([SENTENCE]), {})
    with pytest.raises(CheckpointError, match="needs 29 action"):
        finetune.run(config_for(init=tmp_path / "narrow", embodiment="gr1"))
    assert not (tmp_path / "run").exists()


def test_a_robot_that_the_network_does_not_know_takes_the_slot_for_new_ones():
    config = with_slot(small_config(), "left_handed_gr1")
    assert config.slot("left_handed_gr1") == config.slot("new_embodiment")
    assert config.slot("gr1") == small_config().slot("gr1")
    assert with_slot(small_config(), "gr1").slot("gr1") == small_config().slot("gr1")


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the published demonstration dataset is not at {REAL}")
def test_the_published_recording_fits_the_robot_by_name():
    robot = robot_in_dataset(load_embodiment("gr1"), REAL)
    assert robot.language_key == "annotation.human.action.task_description"
    assert (robot.cameras[0].width, robot.rate_hz) == (256, 20.0)
    assert LeRobotDataset(REAL, robot.policy_groups).info["features"][ACTION]["shape"] == [44]


_ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from gr00t_policy.core.errors import CheckpointError
from gr00t_policy.training import finetune, loop
dataset, init, out, limit = sys.argv[1:]
config = finetune.FinetuneConfig(
    dataset=Path(dataset), init=Path(init), out=Path(out), steps=4, batch=2, lr=1e-3, threads=1, save_every=1, hold_out=(1,)
)
save = finetune.TrainingRun._save
def saving(self):
    if self.step == 3:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    save(self)
finetune.TrainingRun._save = saving
try:
    finetune.run(config)
except CheckpointError as error:
    print(error)
"""


def test_when_the_disk_is_full_the_last_resume_point_stays_and_the_run_goes_on_later(dataset, init, tmp_path):
    """Stood in for by the kernel's limit on the size of a file, which fails a write in the same place."""
    out = tmp_path / "run"
    words = [sys.executable, "-c", _ON_A_FULL_DISK, str(dataset), str(init), str(out), "65536"]
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=110, check=True, env={**os.environ, "PYTHONPATH": paths}
    )
    assert "step 3 could not be saved" in done.stdout and "make room" in done.stdout
    assert read_progress(out / RESUME)[0] == 2
    assert not list(out.glob("*.part"))
    config = replace(short(dataset, init, out), steps=4)
    finetune.run(config)
    assert load_checkpoint(out / "checkpoint").card["config"]["steps"] == 4


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(init, tmp_path):
    folder = save_small_checkpoint(tmp_path / "checkpoint")
    before = load_checkpoint(folder)
    model = before.load_weights()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, limits[1]))
    try:
        with pytest.raises(CheckpointError, match="could not be written.*what was there stays"):
            save_checkpoint(folder, model, before.embodiment, before.statistics, before.prompt.tokenizer, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)
    assert load_checkpoint(folder).hash == before.hash
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint"]
