# SPDX-License-Identifier: Apache-2.0
"""From demonstrations of the simulator's expert to a fine-tuned checkpoint and its open-loop figures, by the commands."""

import json
import math
from pathlib import Path

from gr00t_bringup.cli import main
from gr00t_policy.model.checkpoint import load_checkpoint

_SHIPPED = Path(__file__).resolve().parents[4] / "models" / "gr1_tabletop_tiny"


def test_a_fine_tuned_checkpoint_loads_and_is_compared_with_the_record(tmp_path, capsys):
    data, run, out = (str(tmp_path / name) for name in ("data", "run", "open_loop"))
    assert main(["sim", "generate", "--task", "choose_bin", "--episodes", "2", "--workers", "1", "--out", data]) == 0
    where = f"--dataset {data} --init {_SHIPPED} --out {run}"
    assert main(f"train --recipe finetune {where} --hold-out 1 --steps 2 --batch 2 --threads 1".split()) == 0
    checkpoint = f"{run}/checkpoint"
    load_checkpoint(checkpoint, "gr1").load_weights()
    capsys.readouterr()
    words = f"eval --checkpoint {checkpoint} --episodes 1 --stride 16 --out {out} --open-loop {data}"
    assert main(words.split()) == 0
    assert "held out of the training" in " ".join(capsys.readouterr().out.split())
    result = json.loads((tmp_path / "open_loop" / "open_loop.json").read_text())
    assert (result["episodes"], result["held_out_of_training"], result["mean_of_episodes"]) == ([1], True, [0])
    assert result["training_dataset_known_by"] == "fingerprint"
    for entry in result["groups"].values():
        for figures in entry.values():
            assert math.isfinite(figures["mse"]) and math.isfinite(figures["mae"])
            assert len(figures["mae_by_step"]) == 16
    pictures = {path.name for path in (tmp_path / "open_loop").glob("*.png")}
    assert {"error_by_step.png", "episode_000001_right_arm.png"} <= pictures
