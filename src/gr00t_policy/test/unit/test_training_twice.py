# SPDX-License-Identifier: Apache-2.0
"""A run folder is written by one training at a time; the claim ends with the process that made it, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from forked import Program
from small_checkpoint import save_small_checkpoint
from test_training_killed import config_for, write
from training_runs import curve

from gr00t_policy.baseline import train as baseline
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.durable import lock
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.training import finetune, posttrain, pretrain, train
from gr00t_policy.training.loop import RESUME
from gr00t_policy.training.run_claim import claimed

_STANDS_STILL = """
import sys, time
from pathlib import Path
from gr00t_policy.training import loop, train
from test_training_killed import config_for

step = loop.TrainingRun._optimise
def stands_still_after_two(self, *given):
    if self.step == 2:
        print("two steps are done", flush=True)
        time.sleep(600)
    return step(self, *given)

loop.TrainingRun._optimise = stands_still_after_two
train.run(config_for(Path(sys.argv[1]), Path(sys.argv[2])))
"""
_ONE_OF_TWO = """
import sys
from pathlib import Path
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.training import train
from test_training_killed import config_for

try:
    train.run(config_for(Path(sys.argv[1]), Path(sys.argv[2])))
except ConfigError as error:
    sys.exit(f"REFUSED: {error}")
"""
REFUSED = "another training is writing to {out}; wait for it, stop it, or use another --out"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    return write(tmp_path_factory.mktemp("data") / "bolts", 1)


def environment() -> dict[str, str]:
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


def test_a_second_start_is_refused_until_the_first_process_is_gone(dataset, tmp_path):
    out = tmp_path / "run"
    first = Program(_STANDS_STILL, (dataset, out), tmp_path / "first")
    try:
        first.wait_for("two steps are done")
        log = (out / "log.jsonl").read_bytes()
        with pytest.raises(ConfigError, match=REFUSED.format(out=out)):
            train.run(config_for(dataset, out))
        assert (out / "log.jsonl").read_bytes() == log, "it wrote nothing"
    finally:
        first.kill()
    assert first.wait() == -signal.SIGKILL
    train.run(config_for(dataset, out))
    assert [line["step"] for line in curve(out)] == [1, 2, 3, 4, 5]
    load_checkpoint(out / "checkpoint")


def test_every_recipe_is_refused_before_it_writes(dataset, tmp_path):
    init, out = save_small_checkpoint(tmp_path / "init"), tmp_path / "run"
    mixture = tmp_path / "mixture.yaml"
    mixture.write_text(f"datasets:\n  bolts:\n    path: {dataset}\n    embodiment: gr1\n")
    starts = {
        "train": lambda: train.run(config_for(dataset, out)),
        "finetune": lambda: finetune.run(finetune.FinetuneConfig(dataset=dataset, init=init, out=out)),
        "posttrain": lambda: posttrain.run(posttrain.PosttrainConfig(datasets=(dataset,), init=init, out=out)),
        "pretrain": lambda: pretrain.run(pretrain.PretrainConfig(mixture=mixture, out=out)),
        "diffusion_policy": lambda: baseline.run(baseline.DiffusionTrainConfig(datasets=(dataset,), out=out)),
    }
    with lock(out / ".lock", AssertionError("nobody has it")):
        for start in starts.values():
            with pytest.raises(ConfigError, match=REFUSED.format(out=out)):
                start()
        assert [path.name for path in out.iterdir()] == [".lock"]


def test_all_of_several_processes_end_when_the_one_that_claims_is_refused(dataset, tmp_path):
    out, program = tmp_path / "run", tmp_path / "one_of_two.py"
    program.write_text(_ONE_OF_TWO)
    words = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
        program,
        dataset,
        out,
    ]

    with lock(out / ".lock", AssertionError("nobody has it")):
        refused = subprocess.run(
            [str(word) for word in words], capture_output=True, text=True, check=False, timeout=110, env=environment()
        )
    assert refused.returncode != 0
    assert refused.stderr.count("REFUSED: " + REFUSED.format(out=out)) == 1
    assert [path.name for path in out.iterdir()] == [".lock"]


def test_a_resume_point_of_another_recipe_is_not_gone_on_with(dataset, tmp_path):
    out = tmp_path / "run"
    config = config_for(dataset, out)
    for recipe in ("posttrain", "pretrain"):  # the first is stopped before its resume point
        with claimed(out, recipe, config, "cpu"):
            pass
    (out / RESUME).touch()
    refusal = pytest.raises(ConfigError, match=r"run holds a run of another recipe \(pretrain_config.json\)")
    with refusal, claimed(out, "posttrain", config, "cpu"):
        pass
    with claimed(out, "pretrain", config, "cpu"):
        pass
    (out / "pretrain_config.json").unlink()
    with pytest.raises(ConfigError, match="run holds a resume point and no train_config.json; use another --out"):
        train.run(config)


def test_a_run_folder_that_cannot_be_made_is_named(dataset, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="file/run cannot be written"):
        train.run(config_for(dataset, tmp_path / "file" / "run"))
    (tmp_path / "run" / ".train_config.json.part").mkdir(parents=True)  # where the options would be written
    with pytest.raises(ConfigError, match="run cannot be written .*make room"):
        train.run(config_for(dataset, tmp_path / "run"))
