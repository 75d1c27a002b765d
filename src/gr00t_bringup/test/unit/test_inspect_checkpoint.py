# SPDX-License-Identifier: Apache-2.0
"""Inspecting a checkpoint: what it holds, each difference to a robot by name, each damage; no torch, no weight read."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

import gr00t_policy
from gr00t_bringup.cli import main
from gr00t_bringup.inspection.checkpoint_report import checkpoint_report
from gr00t_bringup.inspection.weight_file import CONTROLLER, PLANNER, total, weight_modules
from gr00t_bringup.nodes import shipped_checkpoint
from gr00t_policy.core.errors import CheckpointError, EmbodimentError
from gr00t_policy.model.checkpoint import load_checkpoint

_GR1 = Path(gr00t_policy.__file__).parent / "embodiments" / "gr1.yaml"
_SIZE_OF_HEADER = 8


@pytest.fixture
def folder(tmp_path) -> Path:
    return Path(shutil.copytree(shipped_checkpoint(), tmp_path / "checkpoint"))


def _robot(tmp_path: Path, change) -> str:
    """A robot config like the GR-1's with one thing changed."""
    data = yaml.safe_load(_GR1.read_text())
    change(data)
    file = tmp_path / "robot.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False))
    return str(file)


def _joint(data: dict, name: str) -> dict:
    return next(joint for joint in data["joints"] if joint["name"] == name)


def _flip_sign(data):
    _joint(data, "L_thumb_proximal_pitch_joint")["sign"] = -1


def _rename_joint(data):
    _joint(data, "waist_yaw_joint")["name"] = "torso_yaw_joint"


def _swap_joints(data):
    joints = data["joints"]
    joints[0], joints[1] = joints[1], joints[0]


def _widen(data):
    _joint(data, "waist_roll_joint")["upper_rad"] = 0.8


def _drop_group(data):
    data["policy_groups"].remove("waist")


def _swap_groups(data):
    data["policy_groups"] = ["right_arm", "left_arm", "left_hand", "right_hand", "waist"]


def _rename_camera(data):
    data["cameras"][0]["name"] = "head"


def _distort(data):
    data["cameras"][0]["width"] = 640


def _set(key: str, value: object):
    return lambda data: data.update({key: value})


def test_the_shipped_checkpoint_fits_its_robot_and_says_what_it_holds(tmp_path, capsys):
    file = tmp_path / "found.json"
    assert main(["inspect", str(shipped_checkpoint()), "--json", str(file)]) == 0
    assert "fits robot 'gr1'" in capsys.readouterr().out.splitlines()[0]
    found = json.loads(file.read_text())
    assert found["ok"] is True
    assert [joint["name"] for joint in found["joints"]][:2] == ["left_shoulder_pitch_joint", "left_shoulder_roll_joint"]
    assert len(found["joints"]) == 29
    assert found["widths"]["state"] == {"used": 58, "available": 64, "encoding": "sin_cos"}
    assert found["chunk_s"] == pytest.approx(0.8)
    assert found["training_card"]["recipe"] == "tiny"


def test_parameters_and_memory_are_counted_by_half_and_agree_with_the_training_card():
    card = json.loads((shipped_checkpoint() / "training_card.json").read_text())
    modules = weight_modules(shipped_checkpoint())
    assert sum(module.parameters for module in modules) == card["parameters"]
    for half in (PLANNER, CONTROLLER):
        whole = total(modules, half, half)
        assert whole.dtypes == ("BF16",)
        assert whole.stored_bytes == 2 * whole.parameters > 0


def test_what_is_said_to_be_loaded_is_what_the_nodes_load(capsys):
    """The controller's half counted the tables of all robots, of which it reads one row."""
    modules, checkpoint = weight_modules(shipped_checkpoint()), load_checkpoint(shipped_checkpoint())
    for half, part in ((PLANNER, checkpoint.load_backbone()), (CONTROLLER, checkpoint.load_head())):
        assert total(modules, half, half).loaded == sum(value.numel() for value in part.parameters())
    loaded = total(modules, CONTROLLER, "").loaded
    assert loaded < total(modules, CONTROLLER, "").parameters
    assert main(["inspect", str(shipped_checkpoint())]) == 0
    assert f"loaded {loaded:,}: {4 * loaded / 1e6:.1f} MB in float32" in " ".join(capsys.readouterr().out.split())


def test_the_statistics_shown_are_those_of_the_joint(tmp_path):
    stored = json.loads((shipped_checkpoint() / "experiment_cfg" / "metadata.json").read_text())
    shown = checkpoint_report(shipped_checkpoint()).data["joints"][8]
    assert shown["name"] == "right_shoulder_roll_joint"
    statistics = stored["gr1"]["statistics"]
    assert shown["action"]["q99"] == statistics["action"]["right_arm"]["q99"][1]
    assert shown["state"]["mean"] == statistics["state"]["right_arm"]["mean"][1]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_flip_sign, "sign of L_thumb_proximal_pitch_joint"),
        (_rename_joint, "joint waist_yaw_joint"),
        (_rename_joint, "joint torso_yaw_joint"),
        (_swap_joints, "order of joints in left_arm"),
        (_widen, "limits of waist_roll_joint"),
        (_drop_group, "group waist"),
        (_swap_groups, "order of groups"),
        (_rename_camera, "camera ego_view"),
        (_distort, "camera ego_view"),
        (_set("rate_hz", 30.0), "rate_hz"),
        (_set("projector_index", 20), "projector_index"),
        (_set("state_encoding", "min_max"), "state_encoding"),
    ],
)
def test_each_difference_is_named_and_only_what_differs(tmp_path, change, named):
    report = checkpoint_report(shipped_checkpoint(), _robot(tmp_path, change))
    found = [problem.what for problem in report.problems if problem.severity == "difference"]
    assert named in found
    assert len(found) <= 2
    assert not report.ok


def test_a_robot_that_cannot_reach_what_was_learned_is_a_limit_by_joint(tmp_path):
    def narrow(data):
        _joint(data, "left_elbow_pitch_joint")["lower_rad"] = -1.86

    problems = checkpoint_report(shipped_checkpoint(), _robot(tmp_path, narrow)).problems
    limits = {problem.what: problem.detail for problem in problems if problem.severity == "limit"}
    assert set(limits) == {"left_elbow_pitch_joint"}
    assert "-1.936" in limits["left_elbow_pitch_joint"]


def test_an_unknown_robot_is_refused_with_the_known_ones(capsys):
    with pytest.raises(EmbodimentError, match="shipped ones"):
        checkpoint_report(shipped_checkpoint(), "r2d2")
    assert main(["inspect", str(shipped_checkpoint()), "--robot", "r2d2"]) == 2


def test_a_truncated_weight_file_is_damage(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    report = checkpoint_report(folder)
    assert [problem.severity for problem in report.problems] == ["damage"]
    assert "cannot be read as safetensors" in report.problems[0].detail


def test_a_changed_weight_is_found_only_when_every_byte_is_read(folder):
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    assert checkpoint_report(folder).ok
    report = checkpoint_report(folder, verify=True)
    assert "model.safetensors differs from its manifest" in report.problems[0].detail


@pytest.mark.parametrize("name", ["config.json", "embodiment.json", "experiment_cfg/metadata.json", "tokenizer.json"])
def test_a_changed_small_file_is_named_also_without_reading_the_weights(folder, name):
    (folder / name).write_text((folder / name).read_text() + " ")
    assert main(["inspect", str(folder)]) == 1
    assert f"{name} differs from its manifest" in checkpoint_report(folder).problems[0].detail


def test_shards_are_counted_together_and_a_missing_one_is_named(tmp_path):
    save_file({"backbone.linear.weight": np.zeros((4, 3), np.float32)}, tmp_path / "a.safetensors")
    save_file({"action_head.model.proj_out_2.bias": np.zeros(5, np.float16)}, tmp_path / "b.safetensors")
    names = {"backbone.linear.weight": "a.safetensors", "action_head.model.proj_out_2.bias": "b.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    found = {module.name: (module.half, module.parameters, module.stored_bytes) for module in weight_modules(tmp_path)}
    assert found == {"linear": (PLANNER, 12, 48), "DiT": (CONTROLLER, 5, 10)}
    (tmp_path / "b.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"lacks b\.safetensors"):
        weight_modules(tmp_path)


def test_damaged_headers_raise_only_our_own_error(tmp_path):
    rng = np.random.default_rng(0)
    save_file({"backbone.linear.weight": np.zeros((4, 3), np.float32)}, tmp_path / "a.safetensors")
    whole = (tmp_path / "a.safetensors").read_bytes()
    refused = 0
    for _ in range(500):
        content = bytearray(whole)
        for place in rng.integers(0, len(whole) - 48, 3):
            content[place] = rng.integers(256)
        (tmp_path / "a.safetensors").write_bytes(content[: rng.integers(_SIZE_OF_HEADER, len(whole) + 1)])
        try:
            weight_modules(tmp_path)
        except CheckpointError:
            refused += 1
    assert refused > 400


def test_inspecting_a_checkpoint_loads_no_network_library():
    code = (
        f"import sys; from gr00t_bringup.cli import main; main(['inspect', {str(shipped_checkpoint())!r}]); "
        "assert not {'torch', 'transformers', 'rclpy', 'mujoco', 'openvino'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_what_is_none_of_the_three_is_wrong_use_and_what_lies_below_is_named(folder, capsys):
    assert main(["inspect", str(folder.parent)]) == 2
    assert "it holds checkpoint (checkpoint)" in capsys.readouterr().err
    assert main(["inspect", str(folder / "nothing")]) == 2
    assert "there is nothing at" in capsys.readouterr().err
    assert main(["inspect", str(folder / "model.safetensors")]) == 2
    assert f"give its folder {folder}" in capsys.readouterr().err


def test_a_checkpoint_of_several_robots_names_them_and_shows_each(folder, tmp_path):
    spare = json.loads((folder / "embodiment.json").read_text()) | {"name": "gr1_spare", "tag": "gr1"}
    spare["joints"][0]["effort_nm"] = 1.0
    (folder / "embodiments").mkdir()
    file = folder / "embodiments" / "gr1_spare.json"
    file.write_text(json.dumps(spare))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"]["embodiments/gr1_spare.json"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert ("also for", "gr1_spare (see with --robot NAME)") in checkpoint_report(folder).facts
    robot = tmp_path / "gr1_spare.yaml"
    robot.write_text(yaml.safe_dump(spare))
    shown = checkpoint_report(folder, str(robot))
    assert shown.data["embodiment"] == "gr1_spare" and shown.data["robots"] == ["gr1", "gr1_spare"]
    file.write_text("{}")
    damaged = checkpoint_report(folder)
    assert any("embodiments/gr1_spare.json" in problem.detail for problem in damaged.problems)
