# SPDX-License-Identifier: Apache-2.0
"""Inspecting a Diffusion Policy: it is called what it is, counted, compared with a robot, and not taken for one of ours."""

import json
from pathlib import Path

import pytest

from gr00t_bringup.cli import main
from gr00t_bringup.health.checkpoint import checkpoint_finding
from gr00t_bringup.inspection.diffusion_report import diffusion_report
from gr00t_bringup.nodes import shipped_checkpoint
from gr00t_policy.baseline.checkpoint import save_diffusion_checkpoint
from gr00t_policy.baseline.config import diffusion_config
from gr00t_policy.baseline.network import build_diffusion_policy
from gr00t_policy.model.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Random weights; statistics, tokenizer and robot of the shipped checkpoint."""
    made, ours = tmp_path_factory.mktemp("baseline") / "checkpoint", load_checkpoint(shipped_checkpoint())
    model = build_diffusion_policy(diffusion_config(58, 29), 0)
    card = {"recipe": "diffusion_policy", "steps": 7}
    save_diffusion_checkpoint(made, model, ours.embodiment, ours.statistics, ours.prompt.tokenizer, card)
    return made


def test_it_says_what_it_is_and_how_large(folder, tmp_path, capsys):
    assert main(["inspect", str(folder), "--verify", "--json", str(tmp_path / "report.json")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Diffusion Policy" in shown and "10 DDIM steps of 100" in shown and "7 steps" in shown
    data = json.loads((tmp_path / "report.json").read_text())
    assert data["ok"] and data["config"]["model_type"] == "diffusion_policy" and len(data["joints"]) == 29
    model = build_diffusion_policy(diffusion_config(58, 29), 0)
    assert sum(data["parameters"].values()) == sum(p.numel() for p in model.parameters())
    assert min(data["parameters"].values()) > 0


def test_a_torn_weight_file_is_damage(folder, tmp_path):
    torn = tmp_path / "torn"
    torn.mkdir()
    for file in folder.rglob("*"):
        if file.is_file():
            (torn / file.relative_to(folder)).parent.mkdir(exist_ok=True)
            (torn / file.relative_to(folder)).write_bytes(file.read_bytes())
    weights = torn / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    report = diffusion_report(torn)
    assert not report.ok and [problem.severity for problem in report.problems] == ["damage"]


def test_the_doctor_says_that_no_robot_is_driven_by_it(folder):
    finding = checkpoint_finding(folder, "gr1")
    assert finding.level == "error" and "Diffusion Policy" in finding.found and "gr00t eval" in finding.found
