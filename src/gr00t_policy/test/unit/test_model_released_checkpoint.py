# SPDX-License-Identifier: Apache-2.0
"""A folder as released is served like one of ours, by halves, and every fault of it has one error that says what to do."""

import json
import random
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from released_folder import edit_json, mutated, rewrite, write_release_folder
from safetensors.torch import load_file, save_file
from small_checkpoint import save_small_checkpoint

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import CheckpointError, EmbodimentError, Gr00tError
from gr00t_policy.data.statistics import load_metadata
from gr00t_policy.model.checkpoint import Checkpoint, load_checkpoint
from gr00t_policy.model.config import preset
from gr00t_policy.model.vla import Vla
from gr00t_policy.model.weight_files import open_weight_files, read_header

torch.set_num_threads(1)
WEIGHTS, METADATA = "model.safetensors", "experiment_cfg/metadata.json"


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release_folder(tmp_path_factory.mktemp("models") / "n1")


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release_folder(tmp_path_factory.mktemp("models") / "shards", shards=3)


@pytest.fixture
def copy(released: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(released, tmp_path / "copy"))


@pytest.fixture
def sharded_copy(sharded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sharded, tmp_path / "copy"))


def test_the_folder_holds_what_a_release_holds_and_is_recognised(released: Path) -> None:
    files = {str(path.relative_to(released)) for path in released.rglob("*") if path.is_file()}
    assert {"config.json", WEIGHTS, METADATA} < files
    assert not files & {"manifest.json", "embodiment.json", "tokenizer.json"}
    checkpoint = load_checkpoint(released)
    assert checkpoint.released and checkpoint.report is not None and checkpoint.report.unknown == {}
    assert checkpoint.embodiment == load_embodiment("gr1") and checkpoint.slot == 24
    assert checkpoint.config.head == preset("n1_tiny_release").head
    assert checkpoint.prompt.encode("cup").attention_mask.all()


def test_the_halves_are_those_of_the_whole_network_and_buffers_are_real(released: Path) -> None:
    checkpoint = load_checkpoint(released)
    whole = checkpoint.load_weights()
    stored = load_file(released / WEIGHTS)
    assert torch.equal(whole.head.dit.out.weight, stored["action_head.model.proj_out_2.weight"])
    for half, loaded in (
        (whole.backbone, checkpoint.load_backbone()),
        (whole.head, checkpoint.load_head(every_slot=True)),
    ):
        assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
        for (name, a), (other, b) in zip(half.named_parameters(), loaded.named_parameters(), strict=True):
            assert name == other and torch.equal(a, b), name
        for (name, a), (other, b) in zip(half.named_buffers(), loaded.named_buffers(), strict=True):
            assert name == other and torch.equal(a, b), name
    assert all(p.requires_grad for p in whole.parameters())


def test_shards_and_a_single_file_hold_the_same_network(released: Path, sharded: Path) -> None:
    one, many = (load_checkpoint(folder).load_weights() for folder in (released, sharded))
    assert len(list(sharded.glob("model-*.safetensors"))) > 1 and not (sharded / WEIGHTS).exists()
    for (name, a), b in zip(one.named_parameters(), many.parameters(), strict=True):
        assert torch.equal(a, b), name


def test_one_kept_slot_acts_as_all_of_them(released: Path) -> None:
    checkpoint = load_checkpoint(released)
    head, alone = checkpoint.load_head(every_slot=True), checkpoint.load_head()
    assert alone.action_encoder.W2.W.shape == (1, 96, 48) and head.action_encoder.W2.W.shape == (32, 96, 48)
    g = torch.Generator().manual_seed(0)
    features, mask = torch.randn(1, 9, 48, generator=g), torch.ones(1, 9, dtype=torch.long)
    state, noise = torch.randn(1, 1, 64, generator=g), torch.randn(1, 16, 32, generator=g)
    with torch.no_grad():
        expected = head.sample(features, mask, state, torch.tensor([24]), noise)
        assert torch.equal(alone.sample(features, mask, state, torch.tensor([0]), noise), expected)
        assert not torch.equal(head.sample(features, mask, state, torch.tensor([3]), noise), expected)


def test_weights_land_in_the_type_that_is_asked_for(released: Path, tmp_path: Path) -> None:
    folder = write_release_folder(tmp_path / "half", dtype="bfloat16")
    stored = load_file(folder / WEIGHTS)["action_head.model.proj_out_2.weight"]
    assert stored.dtype == torch.bfloat16
    checkpoint = load_checkpoint(folder)
    for dtype, kind in (("bfloat16", torch.bfloat16), ("float32", torch.float32)):
        head, backbone = checkpoint.load_head(dtype), checkpoint.load_backbone(dtype)
        assert {p.dtype for p in (*head.parameters(), *backbone.parameters())} == {kind}
        assert torch.equal(head.dit.out.weight, stored.to(kind))
        assert backbone.language.rotary_emb.inv_freq.dtype == torch.float32
    full = load_checkpoint(released).load_head("bfloat16")
    assert torch.equal(full.dit.out.weight, stored)


def test_nothing_of_the_other_half_is_read(copy: Path) -> None:
    """Each half is broken in turn: the other loads all the same."""
    good = load_file(copy / WEIGHTS)
    for broken, loads, fails in (
        ("action_head.model.proj_out_2.weight", "load_backbone", "load_head"),
        ("backbone.linear.bias", "load_head", "load_backbone"),
    ):
        save_file(good | {broken: torch.full_like(good[broken], torch.nan)}, copy / WEIGHTS)
        checkpoint = load_checkpoint(copy)
        getattr(checkpoint, loads)()
        for load in (getattr(checkpoint, fails), checkpoint.load_weights):
            with pytest.raises(CheckpointError, match=f"tensor '{broken}' holds NaN or infinity"):
                load()


def test_the_head_is_loaded_without_the_vlm_library(released: Path) -> None:
    code = (
        "import sys; from gr00t_policy.model.checkpoint import load_checkpoint\n"
        f"checkpoint = load_checkpoint({str(released)!r}); assert 'torch' not in sys.modules\n"
        "checkpoint.load_head(); sys.exit('transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_hash_follows_configuration_metadata_and_headers_not_the_place(released: Path, copy: Path) -> None:
    first = load_checkpoint(released).hash
    assert load_checkpoint(copy).hash == first
    edit_json(copy / "config.json", lambda data: data.update(note="mine"))
    second = load_checkpoint(copy).hash
    edit_json(copy / METADATA, lambda data: data.update(other={}))
    third = load_checkpoint(copy).hash
    tensors = load_file(copy / WEIGHTS)
    save_file({key: value.bfloat16() for key, value in tensors.items()}, copy / WEIGHTS)
    assert len({first, second, third, load_checkpoint(copy).hash}) == 4


def test_other_values_of_the_same_shapes_have_another_hash(released: Path, copy: Path) -> None:
    tensors = load_file(copy / WEIGHTS)
    save_file({key: value * 1.001 for key, value in tensors.items()}, copy / WEIGHTS, {"format": "pt"})
    assert load_checkpoint(copy).hash != load_checkpoint(released).hash


def test_unknown_fields_are_kept_in_the_report(copy: Path) -> None:
    edit_json(copy / "config.json", lambda data: data["action_head_cfg"].update(new_trick=True))
    report = load_checkpoint(copy).report
    assert report is not None and report.unknown == {"action_head_cfg.new_trick": True}


def test_groups_that_the_robot_does_not_move_are_left_out_of_the_statistics(copy: Path) -> None:
    def add_legs(data: dict) -> None:
        for side in ("state", "action"):
            data["gr1"]["statistics"][side] = {
                "left_leg": data["gr1"]["statistics"][side]["left_hand"],
                **data["gr1"]["statistics"][side],
            }

    edit_json(copy / METADATA, add_legs)
    statistics = load_checkpoint(copy).statistics
    assert tuple(statistics.action) == tuple(statistics.state) == load_embodiment("gr1").policy_groups


def test_an_unknown_robot_is_refused_with_those_there_are(released: Path) -> None:
    with pytest.raises(EmbodimentError, match="no embodiment 'walker'.*gr1"):
        load_checkpoint(released, "walker")


def test_metadata_without_the_tag_names_the_tags_it_has(copy: Path) -> None:
    edit_json(copy / METADATA, lambda data: data.update(so100=data.pop("gr1")))
    with pytest.raises(CheckpointError, match="no statistics for embodiment 'gr1'; it has: so100"):
        load_checkpoint(copy)


def test_metadata_without_a_group_or_of_another_size_is_refused(copy: Path) -> None:
    edit_json(copy / METADATA, lambda data: data["gr1"]["statistics"]["state"].pop("waist"))
    with pytest.raises(CheckpointError, match="no state statistics for waist; there are: left_arm"):
        load_checkpoint(copy)

    def shorten(data: dict) -> None:
        hand = data["gr1"]["statistics"]["action"]["left_hand"]
        data["gr1"]["statistics"]["state"]["waist"] = {key: value[:3] for key, value in hand.items()}
        data["gr1"]["statistics"]["action"]["left_hand"] = {key: value[:5] for key, value in hand.items()}
        data["gr1"]["modalities"]["action"]["left_hand"]["shape"] = [5]

    edit_json(copy / METADATA, shorten)
    with pytest.raises(CheckpointError, match="action statistics are for joint groups.*'left_hand': 5"):
        load_checkpoint(copy)


@pytest.mark.parametrize("name", ["config.json", METADATA, WEIGHTS])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(copy)


def test_without_a_tokenizer_the_error_says_where_to_get_one(copy: Path, released: Path, tmp_path: Path) -> None:
    for name in ("vocab.json", "merges.txt"):
        (copy / "eagle2_hg_model" / name).unlink()
    with pytest.raises(CheckpointError, match="has no tokenizer.*SmolLM2-1.7B-Instruct"):
        load_checkpoint(copy)
    with pytest.raises(CheckpointError, match="no tokenizer folder .*nowhere"):
        load_checkpoint(copy, tokenizer=tmp_path / "nowhere")
    given = load_checkpoint(copy, tokenizer=released / "eagle2_hg_model")
    assert given.hash == load_checkpoint(released).hash


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "model.ckpt"])
def test_pickle_files_are_refused_with_what_to_do(copy: Path, name: str) -> None:
    (copy / WEIGHTS).rename(copy / name)
    with pytest.raises(CheckpointError, match=f"{name}: pickle files .*never opened; save the weights as safetensors"):
        load_checkpoint(copy)


@pytest.mark.parametrize("kept", [0, 7, 1000, -100, -1])
def test_a_torn_weights_file_is_refused_before_a_weight_is_read(copy: Path, kept: int) -> None:
    path = copy / WEIGHTS
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read as safetensors"):
        load_checkpoint(copy)


def test_missing_unexpected_and_misshapen_tensors_are_one_error(copy: Path) -> None:
    tensors = load_file(copy / WEIGHTS)
    del tensors["action_head.model.proj_out_2.bias"]
    tensors["action_head.vlln.weight"] = torch.zeros(48)
    tensors["action_head.position_embedding.weight"] = torch.zeros(7, 48)
    tensors["lm_head.weight"] = torch.zeros(3)
    save_file(tensors, copy / WEIGHTS)
    checkpoint = load_checkpoint(copy)
    says = "\n".join(
        (
            "1 tensor(s) missing, 2 tensor(s) unexpected, 1 tensor(s) of another shape",
            "missing: action_head.model.proj_out_2.bias (32,)",
            "unexpected: action_head.vlln.weight (48,),",
            "            lm_head.weight (3,)",
            "of another shape: action_head.position_embedding.weight (7, 48) instead of (64, 48)",
        )
    )
    for load in (checkpoint.load_head, checkpoint.load_weights):
        with pytest.raises(CheckpointError, match=re.escape(says) + "$"):
            load()
    with pytest.raises(CheckpointError, match=r"1 tensor\(s\) unexpected\nunexpected: lm_head\.weight"):
        checkpoint.load_backbone()


def test_of_a_module_that_is_missing_as_a_whole_every_tensor_is_named_with_its_shape(copy: Path) -> None:
    tensors = load_file(copy / WEIGHTS)
    gone = {key: value for key, value in tensors.items() if key.startswith("action_head.model.")}
    save_file({key: value for key, value in tensors.items() if key not in gone}, copy / WEIGHTS)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(copy).load_head()
    first, *lines = str(caught.value).splitlines()
    assert first.endswith(f"{len(gone)} tensor(s) missing") and len(gone) > 60
    named = [line.removeprefix("missing:").strip().removesuffix(",") for line in lines]
    assert named == [f"{key} {tuple(gone[key].shape)}" for key in sorted(gone)]


def test_weights_that_are_not_plain_floats_are_refused(copy: Path) -> None:
    tensors = load_file(copy / WEIGHTS)
    save_file(tensors | {"backbone.linear.bias": torch.zeros(48, dtype=torch.int8)}, copy / WEIGHTS)
    with pytest.raises(CheckpointError, match="'backbone.linear.bias' is stored as I8; weights must be one of F64"):
        load_checkpoint(copy)


def test_a_missing_shard_is_named(sharded_copy: Path) -> None:
    shard = sorted(sharded_copy.glob("model-*"))[0]
    shard.unlink()
    with pytest.raises(CheckpointError, match=f"lacks {shard.name}, which model.safetensors.index.json names"):
        load_checkpoint(sharded_copy)


def test_an_index_that_does_not_fit_its_shards_is_refused(sharded_copy: Path) -> None:
    index = sharded_copy / "model.safetensors.index.json"
    edit_json(index, lambda data: data["weight_map"].pop("backbone.linear.bias"))
    with pytest.raises(CheckpointError, match=r"disagree about 1 tensor\(s\): backbone\.linear\.bias"):
        load_checkpoint(sharded_copy)


@pytest.mark.parametrize("place", ["../other.safetensors", "/etc/passwd", "..", "a.bin", 7, ""])
def test_an_index_cannot_lead_out_of_its_folder(sharded_copy: Path, place: object) -> None:
    index = sharded_copy / "model.safetensors.index.json"
    edit_json(index, lambda data: data["weight_map"].update({"backbone.linear.bias": place}))
    with pytest.raises(CheckpointError, match=r"places tensor 'backbone\.linear\.bias' in"):
        load_checkpoint(sharded_copy)


def refused(folder: Path, path: Path, times: int, seed: int, good: bytes) -> int:
    """How many of ``times`` damaged versions of ``path`` are refused; any other error than ours ends the test."""
    rng, count = random.Random(seed), 0
    for _ in range(times):
        rewrite(path, mutated(good, rng))
        try:
            open_weight_files(folder)
        except Gr00tError:
            count += 1
    return count


def test_of_two_thousand_damaged_headers_none_gives_another_error(tmp_path: Path) -> None:
    path = tmp_path / WEIGHTS
    save_file({f"layer.{i}.weight": torch.ones(2, 3) for i in range(3)}, path)
    good = path.read_bytes()
    read_header(path)
    assert refused(tmp_path, path, 2000, 0, good) > 1000
    length = struct.unpack("<Q", good[:8])[0]
    rng = random.Random(1)
    for _ in range(2000):  # with a length that fits, so that the damage gets as far as the JSON and the numbers in it
        header = mutated(good[8 : 8 + length], rng)
        rewrite(path, struct.pack("<Q", len(header)) + header + good[8 + length :])
        try:
            open_weight_files(tmp_path)
        except Gr00tError:
            continue


def test_of_two_thousand_damaged_indices_none_gives_another_error(tmp_path: Path) -> None:
    shard, index = "model-00001-of-00001.safetensors", "model.safetensors.index.json"
    save_file({f"layer.{i}.weight": torch.ones(2, 3) for i in range(3)}, tmp_path / shard)
    good = json.dumps({"metadata": {"total_size": 72}, "weight_map": {f"layer.{i}.weight": shard for i in range(3)}})
    assert refused(tmp_path, tmp_path / index, 2000, 0, good.encode()) > 1000


def test_of_two_thousand_damaged_metadata_none_gives_another_error(released: Path, tmp_path: Path) -> None:
    robot, path = load_embodiment("gr1"), tmp_path / "metadata.json"
    good = json.dumps(json.loads((released / METADATA).read_text())).encode()
    rng, count = random.Random(0), 0
    for _ in range(2000):
        rewrite(path, mutated(good, rng))
        try:
            load_metadata(path, robot.tag, robot.policy_groups)
        except CheckpointError:
            count += 1
    assert 1000 < count < 2000


def test_every_module_of_n1_2b_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        model = Vla(preset("n1_2b"))
    published = {
        "backbone.vision": 412_442_352,
        "backbone.connector": 13_644_800,
        "backbone.language": 906_045_440,
        "backbone.linear": 3_147_264,
        "backbone": 1_335_279_856,
        "head.dit": 537_803_776,
        "head.state_encoder": 52_510_720,
        "head.action_encoder": 228_212_736,
        "head.action_decoder": 34_636_800,
        "head.position_embedding": 1_572_864,
        "head": 854_736_896,
        "": 2_190_016_752,
    }
    counted = {name: sum(p.numel() for p in model.get_submodule(name).parameters()) for name in published}
    assert counted == published


def test_a_checkpoint_of_ours_loads_by_halves_too(tmp_path: Path) -> None:
    checkpoint: Checkpoint = load_checkpoint(save_small_checkpoint(tmp_path / "small"))
    assert not checkpoint.released
    whole = checkpoint.load_weights()
    assert torch.equal(checkpoint.load_backbone().linear.weight, whole.backbone.linear.weight)
    kept = checkpoint.load_head().state_encoder.layer1.W
    assert torch.equal(kept[0], whole.head.state_encoder.layer1.W[checkpoint.slot])
