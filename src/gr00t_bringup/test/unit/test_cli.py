# SPDX-License-Identifier: Apache-2.0
"""The command line: quick help, one line for what went wrong, exit codes that mean something."""

import dataclasses
import importlib
import resource
import subprocess
import sys

import pytest

from gr00t_bringup.cli import EXIT_ERROR, EXIT_OK, VERBS, Verb, _find, main

_MEASURING = (
    "demo",
    "sim generate",
    "sim multiply",
    "eval",
    "eval --compare",
    "eval --open-loop",
    "parity",
    "bench loop",
    "bench model",
    "bench load",
    "inspect",
    "doctor",
)
_HEAVY = ("torch", "mujoco", "openvino", "rclpy", "transformers")


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gr00t_bringup.cli", *words], capture_output=True, text=True, timeout=120, check=False
    )


def test_help_names_every_verb(capsys):
    assert main(["--help"]) == EXIT_OK
    text = capsys.readouterr().out
    assert all(verb.name in text and verb.summary in text for verb in VERBS)


def test_help_imports_nothing_heavy():
    code = f"import gr00t_bringup.cli as c, sys; c.main(['--help']); assert not set({_HEAVY}) & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_help_takes_less_than_a_second_of_work():
    """CPU time, because the machine may be busy with something else."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert _run("--help").returncode == EXIT_OK
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < 1.0


def test_half_a_verb_lists_the_verbs_that_begin_so(capsys):
    assert main(["sim"]) == EXIT_ERROR
    text = capsys.readouterr().err
    assert "sim generate" in text
    assert "doctor" not in text


def test_an_unknown_verb_is_named(capsys):
    assert main(["dance"]) == EXIT_ERROR
    assert "no verb 'dance'" in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_each_verb_has_frozen_options_and_run(verb: Verb):
    module = importlib.import_module(verb.module)
    config = getattr(module, verb.config)
    assert dataclasses.is_dataclass(config)
    assert config.__dataclass_params__.frozen
    assert callable(module.run)


@pytest.mark.parametrize("verb", [v for v in VERBS if v.name in _MEASURING], ids=lambda verb: verb.name)
def test_each_verb_that_measures_takes_a_json_file(verb: Verb):
    fields = {field.name for field in dataclasses.fields(getattr(importlib.import_module(verb.module), verb.config))}
    assert "json" in fields


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("eval --episodes 3", "eval"),
        ("eval", "eval"),
        ("eval --open-loop data", "eval --open-loop"),
        ("eval --checkpoint c --stride 2 --open-loop data", "eval --open-loop"),
        ("eval --open_loop=data", "eval --open-loop"),
        ("eval --task open-loop", "eval"),
        ("eval --compare a b", "eval --compare"),
        ("eval --suite gr1_tabletop --compare a b --episodes 3", "eval --compare"),
        ("train --recipe smoke", "train"),
        ("train --out o --recipe finetune --dataset d", "train --recipe finetune"),
        ("train --recipe=finetune", "train --recipe finetune"),
        ("train --recipe diffusion_policy --steps 9", "train --recipe diffusion_policy"),
        ("train --out finetune --recipe tiny", "train"),
    ],
)
def test_a_marker_anywhere_among_the_options_selects_the_verb_of_several(typed: str, name: str):
    verb, options = _find(typed.split())
    assert verb is not None and verb.name == name
    assert options == typed.split()[1:]


def test_the_help_of_a_verb_names_what_else_its_word_does(capsys):
    for typed, other in (("eval --help", "eval --open-loop"), ("eval --open-loop --help", "gr00t eval ...")):
        with pytest.raises(SystemExit) as ended:
            main(typed.split())
        assert not ended.value.code
        assert other in capsys.readouterr().out


def test_an_unknown_option_is_refused_with_exit_code_2():
    done = _run("doctor", "--nonsense")
    assert done.returncode == EXIT_ERROR
    assert "nonsense" in done.stderr


def test_an_error_of_the_user_is_one_line_without_a_traceback(tmp_path):
    done = _run("sim", "play", "--task", "juggle", "--out", str(tmp_path / "a.mp4"))
    assert done.returncode == EXIT_ERROR
    assert done.stderr.startswith("gr00t sim play: unknown task 'juggle'")
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_viewer_without_display_is_refused_before_anything_starts(monkeypatch, capsys):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert main(["demo", "--viewer"]) == EXIT_ERROR
    assert "--viewer needs a display" in capsys.readouterr().err
