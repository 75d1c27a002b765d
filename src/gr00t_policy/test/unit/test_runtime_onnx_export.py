# SPDX-License-Identifier: Apache-2.0
"""An exported network is the network, says what it needs, and is not taken for another one."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import torch
from released_folder import write_release_folder
from small_checkpoint import noise_observation, save_small_checkpoint, small_config

from gr00t_policy.core.errors import CheckpointError, ConfigError, MessageError
from gr00t_policy.model.checkpoint import Checkpoint, load_checkpoint
from gr00t_policy.runtime.backends import load_backend
from gr00t_policy.runtime.engine import EngineConfig
from gr00t_policy.runtime.onnx_export import SCRIPT, export
from gr00t_policy.runtime.policy import Gr00tPolicy
from gr00t_policy.runtime.prompt_room import prompt_room
from gr00t_policy.runtime.start_check import EngineRefusedError

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def exported(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "net"
    assert all(check.passed and check.max_error < 1e-4 for check in export(checkpoint, out).checks)
    return out


def test_from_a_picture_to_joint_angles_the_exported_network_is_the_plain_one(
    checkpoint: Checkpoint, exported: Path
) -> None:
    observation, chunks = noise_observation(), []
    for backend in (load_backend(checkpoint, "torch"), load_backend(checkpoint, "onnx", exported=exported)):
        policy = Gr00tPolicy(checkpoint, backend, seed=1)
        policy.accept(policy.encode(observation))
        chunks.append(policy.act(observation.state, 0).positions)
    np.testing.assert_allclose(chunks[1], chunks[0], atol=1e-4)


def test_the_description_agrees_with_the_files_and_names_what_a_stranger_needs(
    checkpoint: Checkpoint, exported: Path
) -> None:
    said = json.loads((exported / "network.json").read_text())
    for part in said["parts"]:
        graph = ov.Core().read_model(exported / part["file"])
        for kind, values in (("inputs", graph.inputs), ("outputs", graph.outputs)):
            assert [value["name"] for value in part[kind]] == [value.get_any_name() for value in values]
            assert [tuple(value["shape"]) for value in part[kind]] == [tuple(value.shape) for value in values]
    names = {part["name"]: part for part in said["parts"]}
    assert [v["name"] for v in names["context"]["outputs"]] == [v["name"] for v in names["head"]["inputs"]][4:]
    assert said["checkpoint_hash"] == checkpoint.hash
    assert said["joints"] == list(checkpoint.embodiment.policy_joint_names)
    group = next(iter(said["groups"]))
    assert len(said["statistics"]["action"][group]["min"]) == said["groups"][group][1] - said["groups"][group][0]
    assert (exported / said["prompt"]["tokenizer"]).is_file()


def test_the_script_for_tensorrt_is_sound_shell_and_builds_every_part(exported: Path, tmp_path: Path) -> None:
    """TensorRT is not here: a stand-in writes down what it is asked."""
    asked = tmp_path / "asked"
    builder = tmp_path / "trtexec"
    stand_in = (
        f'#!/bin/sh\nif [ "$1" = --help ]; then echo "  --fp16  @BF16@"; exit; fi\necho "$@" >> {asked}\n'
        'echo "GPU Compute Time: none"\n'
    )
    builder.write_text(stand_in.replace("@BF16@", "--bf16"))
    builder.chmod(0o755)
    subprocess.run(["bash", "-n", exported / SCRIPT], check=True)
    place = {"PATH": "/usr/bin:/bin", "TRTEXEC": str(builder)}
    subprocess.run([exported / SCRIPT, tmp_path / "plans"], check=True, env=place, capture_output=True)
    lines = asked.read_text().splitlines()
    assert len(lines) == 3
    for line, part in zip(lines, ("encoder", "context", "head"), strict=True):
        assert f"--onnx={exported}/{part}.onnx" in line
        assert f"--saveEngine={tmp_path}/plans/{part}.bf16.plan --bf16" in line
    builder.write_text(stand_in.replace("@BF16@", "--int8"))  # as of TensorRT 8
    old = subprocess.run([exported / SCRIPT], check=False, env=place, capture_output=True, text=True)
    assert old.returncode == 2 and "has no --bf16" in old.stderr and "PRECISION=fp32" in old.stderr
    place["PRECISION"] = "fp32"
    subprocess.run([exported / SCRIPT, tmp_path / "plans"], check=True, env=place, capture_output=True)
    assert len(asked.read_text().splitlines()) == 6, "nothing was built in bf16 by the old one"
    place["PRECISION"] = "int3"
    wrong = subprocess.run([exported / SCRIPT], check=False, env=place, capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "choose fp32, fp16 or bf16" in wrong.stderr


def test_what_was_exported_of_another_network_or_with_other_steps_is_refused(
    checkpoint: Checkpoint, exported: Path, tmp_path: Path
) -> None:
    other = load_checkpoint(save_small_checkpoint(tmp_path / "other", seed=1))
    with pytest.raises(CheckpointError, match="exported with checkpoint_hash"):
        load_backend(other, "onnx", exported=exported, part="head")
    with pytest.raises(CheckpointError, match="exported with euler_steps 4, asked for is 2"):
        load_backend(checkpoint.with_steps(2), "onnx", exported=exported, part="head")
    with pytest.raises(CheckpointError, match=r"was not written by `gr00t export`"):
        load_backend(checkpoint, "onnx", exported=tmp_path, part="head")
    with pytest.raises(ConfigError, match="needs parameter 'exported'"):
        load_backend(checkpoint, "onnx")
    with pytest.raises(ConfigError, match="exported graphs are float32"):
        EngineConfig("int8", exported=exported)


def test_an_exported_graph_that_was_changed_is_refused(checkpoint: Checkpoint, exported: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(exported, tmp_path / "changed"))
    constants = [
        op for op in ov.Core().read_model(exported / "head.onnx").get_ops() if op.get_type_name() == "Constant"
    ]
    weights = max((op.data.copy() for op in constants), key=lambda data: data.nbytes)
    raw = (changed / "head.onnx").read_bytes()
    assert raw.count(weights.tobytes()) == 1
    (changed / "head.onnx").write_bytes(raw.replace(weights.tobytes(), (weights / 2).tobytes()))
    with pytest.raises(EngineRefusedError, match="'onnx' is refused: its head.*export .*changed"):
        load_backend(checkpoint, "onnx", exported=changed, part="head")


def test_a_folder_that_exists_is_refused(checkpoint: Checkpoint, exported: Path) -> None:
    with pytest.raises(ConfigError, match="exists; give another folder"):
        export(checkpoint, exported)


@pytest.mark.parametrize("form", ["released", "looks everywhere"])
def test_prompts_of_any_length_are_padded_in_graphs_of_one_length(tmp_path: Path, form: str) -> None:
    """The published form, in small, and a network whose tokens look at all others; a weight in the padding would be seen."""
    if form == "released":
        network = load_checkpoint(write_release_folder(tmp_path / "net"))
    else:
        network = load_checkpoint(save_small_checkpoint(tmp_path / "net", small_config(instruction_tokens=0)))
    out = tmp_path / "exported"
    assert all(check.passed and check.max_error < 1e-4 for check in export(network, out).checks)
    onnx, plain = (
        load_backend(network, "onnx", exported=out),
        load_backend(network, "torch", dtype="float32", device="cpu"),
    )
    said = json.loads((out / "network.json").read_text())
    assert (out / said["prompt"]["tokenizer"]).is_file() and said["prompt"]["length"] == prompt_room(network)
    for sentence in ("", "cup", "take the cup"):
        chunks = []
        for backend in (plain, onnx):
            policy = Gr00tPolicy(network, backend, seed=1)
            policy.accept(policy.encode(replace(noise_observation(), instruction=sentence)))
            chunks.append(policy.act(noise_observation().state, 0).positions)
        np.testing.assert_allclose(chunks[1], chunks[0], atol=1e-4)
    with pytest.raises(MessageError, match="tokens does not fit into the onnx engine's .*say it shorter"):
        Gr00tPolicy(network, onnx).encode(replace(noise_observation(), instruction="cup " * 90))
    assert not list(tmp_path.glob(".exporting-*"))


def test_a_large_part_has_a_folder_of_its_own_for_its_files(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where torch puts tensors of more than 2 GB beside the graph; names of two graphs may be the same."""
    monkeypatch.setattr("gr00t_policy.runtime.onnx_graphs._OWN_FOLDER_BYTES", 1 << 20)
    out = tmp_path / "large"
    parts = {part.name: part.file for part in export(checkpoint, out).parts}
    assert parts["encoder"] == "encoder/encoder.onnx" and (out / parts["encoder"]).is_file()
    assert "onnx" in str(load_backend(checkpoint, "onnx", exported=out, part="encoder").report)
    assert "for graph in encoder/encoder context/context head/head; do" in (out / SCRIPT).read_text()
