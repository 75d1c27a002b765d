# SPDX-License-Identifier: Apache-2.0
"""``gr00t bench model``: every way and every kind of call has its figures, for people and for programs."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from released_folder import edit_json, write_release_folder
from small_checkpoint import save_small_checkpoint

from gr00t_bringup.bench.model import _Case, _options, _ways
from gr00t_bringup.bench.roofline import Device, floors, parts_of, table
from gr00t_bringup.bench.timed_ways import Stage, WayFigures, WayOptions, checkpoint_of, measure_way
from gr00t_bringup.cli import EXIT_ERROR, EXIT_OK, main, options_of
from gr00t_bringup.measure import percentiles
from gr00t_policy.core.errors import MemoryFullError
from gr00t_policy.model.action_head import ActionHead
from gr00t_policy.model.config import preset
from gr00t_policy.runtime.config import ControllerConfig

_QUICK = ("--seconds", "0.02", "--evaluations", "4")
_CALLS = ["encode", "act, chunk", "act, step", "both"]
_ENGINE_CALLS = ["encode", "context", *_CALLS[1:], "encode, with pictures", "act, to joint angles"]


def test_random_weights_are_timed_plain_and_cached(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "out.json"
    words = ("--preset", "tiny", "--dtype", "bfloat16", "--cameras", "2", "--ways", "cached", "--json", str(file))
    assert main(["bench", "model", *words, *_QUICK]) == EXIT_OK
    shown, written = capsys.readouterr().out, json.loads(file.read_text())
    assert "cached against plain: encode" in shown and written["machine"]["cpu"] in shown
    (case,) = written["cases"]
    assert (case["cameras"], case["dtype"], case["refused"]) == (2, "bfloat16", {})
    plain, cached = case["ways"]
    assert [stage["name"] for stage in plain["stages"]] == _CALLS
    assert [stage["name"] for stage in cached["stages"]] == ["encode", "context", *_CALLS[1:]]
    for stage in plain["stages"] + cached["stages"]:
        assert 0 < stage["ms"]["p50"] <= stage["ms"]["p95"] <= stage["ms"]["p99"]
        assert stage["bytes_read"] == 2 * stage["parameters_read"]
        expected = stage["bytes_read"] / (written["read_bandwidth_gb_s"] * stage["ms"]["p50"] * 1e6)
        assert stage["bandwidth_share"] == pytest.approx(expected)
    assert plain["memory_peak_mb"] > 100
    assert "PREDICTIONS" in shown and "encode, 2 cameras" in shown
    assert {floor["device"] for floor in written["predicted_floors"]} >= {"H200 SXM", "Jetson AGX Orin"}
    ratio = plain["stages"][1]["ms"]["p50"] / cached["stages"][2]["ms"]["p50"]
    assert case["times_as_fast_as_plain"]["cached"]["act, chunk"] == pytest.approx(ratio)


@dataclass
class OtherProcesses:
    """Stands in for the processes that measure: figures at once, and too little memory for the ways ``full``."""

    full: tuple[str, ...] = ()
    bandwidths: dict[int, float] = field(default_factory=lambda: {1: 10e9, 2: 20e9})

    def __call__(self, work: Callable[..., Any], *arguments: Any) -> Any:
        if work is parts_of:
            return {}
        if work is not measure_way:
            return "", self.bandwidths[arguments[1]]
        (options,) = arguments
        if options.way in self.full:
            raise MemoryFullError(f"no room for {options.way}")
        stages = tuple(
            Stage(name, percentiles(np.array([2.0])), 1, 10, 10_000_000) for name in ("encode", "act, chunk", "both")
        )
        return WayFigures(options.way, 1 if options.way == "openvino" else options.threads, stages, 1.0, None, False)


def run_with(processes: OtherProcesses, monkeypatch: pytest.MonkeyPatch, file: Path, *words: str) -> tuple[int, Any]:
    monkeypatch.setattr("gr00t_bringup.bench.model._alone", processes)
    code = main(["bench", "model", "--preset", "tiny", "--cameras", "1", "--json", str(file), *words])
    return code, json.loads(file.read_text())["cases"]


def test_a_way_without_room_in_memory_is_told_and_the_figures_of_the_others_stay(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, (case,) = run_with(OtherProcesses(("cached",)), monkeypatch, tmp_path / "a.json")
    assert code == EXIT_OK and case["refused"] == {"cached": "no room for cached"}
    assert [way["way"] for way in case["ways"]] == ["plain", "openvino", "torch"]
    assert case["times_as_fast_as_plain"].keys() == {"openvino", "torch"}
    assert "cached: no room for cached" in capsys.readouterr().out
    code, (case,) = run_with(OtherProcesses(("plain",)), monkeypatch, tmp_path / "b.json")
    assert code == EXIT_OK and [way["way"] for way in case["ways"]] == ["cached", "openvino", "torch"]
    assert case["times_as_fast_as_plain"] == {}, "there is nothing to compare with"
    every = ("plain", "cached", "openvino", "torch")
    code, (case,) = run_with(OtherProcesses(every), monkeypatch, tmp_path / "c.json")
    assert code != EXIT_OK and tuple(case["refused"]) == every


def test_a_gpu_without_8_bit_numbers_costs_the_ways_that_need_them_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """There is no GPU here: what is measured is made up, what is refused is not."""
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA A100")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))

    class WithoutFloat8(OtherProcesses):
        def __call__(self, work: Callable[..., Any], *arguments: Any) -> Any:
            if work is measure_way and arguments[0].dtype == "float8":
                return measure_way(*arguments)
            return super().__call__(work, *arguments)

    words = ("--device", "cuda", "--ways", "cached", "torch")
    code, cases = run_with(WithoutFloat8(), monkeypatch, tmp_path / "a.json", *words)
    assert code == EXIT_OK
    assert [[way["way"] for way in case["ways"]] for case in cases] == [["plain", "cached", "torch"], ["plain"]]
    assert cases[0]["refused"] == {} and list(cases[1]["refused"]) == ["cached", "torch"]
    assert all("compute capability 8.0" in said for said in cases[1]["refused"].values())


def test_the_share_of_bandwidth_is_that_of_the_threads_that_a_way_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """10 MB in 2 ms are half of one thread's 10 GB/s, a quarter of two threads' 20 GB/s."""
    _, (case,) = run_with(OtherProcesses(), monkeypatch, tmp_path / "two.json", "--threads", "2")
    shares = {way["way"]: (way["threads"], way["stages"][0]["bandwidth_share"]) for way in case["ways"]}
    assert shares == {"plain": (2, 0.25), "cached": (2, 0.25), "openvino": (1, 0.5), "torch": (2, 0.25)}
    assert [way["read_bandwidth_gb_s"] for way in case["ways"]] == [20, 20, 10, 20]


def test_a_gpu_whose_memory_is_full_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(options: WayOptions) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr("gr00t_bringup.bench.timed_ways.checkpoint_of", full)
    with pytest.raises(MemoryFullError, match="'plain', does not fit into the memory of device 'cuda'"):
        measure_way(WayOptions("plain", None, "tiny", "cuda", "bfloat16", "int8", 1, 0.02, 4, 0))


@pytest.mark.parametrize(("engine", "dtype"), [("openvino", "float32"), ("torch", "float8")])
def test_a_preset_goes_through_the_engines_of_the_nodes_as_a_checkpoint_does(engine: str, dtype: str) -> None:
    options = WayOptions(engine, None, "tiny", "cpu", dtype, "int8", 1, 0.02, 4, 0, cameras=2)
    figures = measure_way(options)
    assert [stage.name for stage in figures.stages] == _ENGINE_CALLS
    assert all(stage.ms.p50 > 0 for stage in figures.stages)


def test_a_preset_on_a_gpu_is_one_and_two_cameras_in_16_and_8_bit_through_every_engine() -> None:
    config = options_of(["bench", "model", "--preset", "n1_2b", "--device", "cuda"])
    assert config.number_formats == ("bfloat16", "float8") and config.cameras == ()  # that is 1 and 2
    assert _ways(config, None) == ("plain", "cached", "torch", "cuda_graph", "cuda_graph compiled")
    assert _ways(replace(config, ways=("cuda_graph",)), None) == ("plain", "cuda_graph")
    assert _ways(replace(config, device="cpu"), None) == ("plain", "cached", "torch")
    assert "openvino" in _ways(replace(config, device="cpu", preset="tiny"), None)


def test_the_published_network_reads_what_its_shapes_say_and_predictions_follow_from_datasheets_alone() -> None:
    """By hand: 16 blocks of width 1536 without modulation, time and cross keys and values, 422.7 million a step. A chunk is
    bound by memory everywhere; of two pictures the tower is bound by arithmetic on the smaller devices."""
    calls = {}
    for cameras in (1, 2):
        options = WayOptions("cached", None, "n1_2b", "cpu", "bfloat16", "int8", 1, 0.1, 1, 0, steps=4, cameras=cameras)
        calls |= parts_of(options)
    assert calls["act, chunk"][0][0] == pytest.approx(4 * 422.7e6, rel=0.02)
    made = floors(calls, Device("here", 20e9))
    for floor in made:
        if floor.call == "act, chunk" or floor.device == "here":
            assert floor.floor_ms * floor.bandwidth_gb_s == pytest.approx(1e3 * floor.gigabytes)
    floor_ms = {(f.call, f.device): f.floor_ms for f in made if f.weights == "16 bit"}
    assert floor_ms["act, chunk", "H200 SXM"] == pytest.approx(0.71, abs=0.02)
    assert floor_ms["act, chunk", "Jetson AGX Orin"] == pytest.approx(16.6, abs=0.4)
    assert floor_ms["encode, 1 camera", "H200 SXM"] == pytest.approx(0.56, abs=0.02)
    assert floor_ms["encode, 2 cameras", "H200 SXM"] == pytest.approx(0.78, abs=0.02)
    assert floor_ms["encode, 2 cameras", "Jetson AGX Orin"] == pytest.approx(18.3, abs=0.4)
    assert "PREDICTIONS" in table(made)


@pytest.mark.parametrize("name", ["n1_tiny_release", "n1_5_tiny_release"])
def test_a_chunk_is_multiplied_by_as_many_rows_as_the_head_has_tokens(name: str) -> None:
    """N1.5 has tokens of its own between state and actions."""
    options = WayOptions("cached", None, name, "cpu", "bfloat16", "int8", 1, 0.1, 1, 0, staggered=True)
    config, calls = preset(name).head, parts_of(options)
    before = ActionHead(config).encode_state(torch.empty(1, 1, config.state_dim), torch.zeros(1, dtype=torch.long))
    rows = before.shape[1] + config.horizon
    ((read, multiplied),) = calls["act, chunk"]
    assert multiplied == read * rows
    ((read, multiplied),) = calls["act, staggered tick"]
    assert multiplied == read * rows * config.steps


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_the_engines_of_the_nodes_are_timed_with_and_without_what_the_nodes_add(tmp_path: Path, engine: str) -> None:
    folder = save_small_checkpoint(tmp_path / "checkpoint")
    options = WayOptions(engine, folder, "", "cpu", "float32", "int8", 1, 0.02, 4, 0, staggered=True)
    figures = measure_way(options)
    assert [stage.name for stage in figures.stages] == [*_ENGINE_CALLS[:4], "act, staggered tick", *_ENGINE_CALLS[4:]]
    assert all(stage.ms.p50 > 0 and 3 <= stage.calls <= 4 for stage in figures.stages)
    head = figures.stages[2]
    assert head.bytes_read == (head.parameters_read or 0) * (1 if engine == "openvino" else 4)


def test_a_released_folder_is_timed_for_the_robot_and_with_the_tokenizer_that_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, tokenizer = write_release_folder(tmp_path / "n1", dtype="bfloat16"), tmp_path / "tokenizer"
    edit_json(folder / "experiment_cfg/metadata.json", lambda data: data.update(lab=data.pop("gr1")))
    robot = tmp_path / "lab_gr1.yaml"
    robot.write_text("{extends: gr1, name: lab_gr1, tag: lab, projector_index: 30}")
    tokenizer.mkdir()
    for name in ("vocab.json", "merges.txt"):
        (folder / "eagle2_hg_model" / name).rename(tokenizer / name)
    words = ["bench", "model", "--checkpoint", str(folder), *_QUICK]
    assert main(words) == EXIT_ERROR
    assert "no statistics for embodiment 'gr1'; it has: lab" in capsys.readouterr().err
    words += ["--embodiment", str(robot)]
    assert main(words) == EXIT_ERROR
    assert "has no tokenizer, as released" in capsys.readouterr().err
    config = options_of([*words, "--tokenizer", str(tokenizer), "--dtype", "bfloat16"])
    options = _options(config, folder, _Case(1, "bfloat16"), "torch")
    checkpoint = checkpoint_of(options)
    assert (checkpoint.embodiment.name, checkpoint.slot) == ("lab_gr1", 30)
    figures = measure_way(options)
    assert [stage.name for stage in figures.stages] == _ENGINE_CALLS and all(
        stage.ms.p50 > 0 for stage in figures.stages
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--preset", "tiny", "--checkpoint", "a"), "a checkpoint or a preset, not both"),
        (("--checkpoint", "nowhere"), "no checkpoint folder nowhere"),
        (("--cameras", "2"), "cameras are those of the checkpoint's robot"),
        (("--preset", "tiny", "--ways", "cuda_graph"), "can be run as: plain, cached, openvino, torch"),
        (("--preset", "tiny", "--cameras", "0"), "each number of cameras must be at least 1"),
        (("--preset", "tiny", "--tokenizer", "a"), "embodiment and tokenizer are of a checkpoint"),
        (("--threads", "0"), "threads and evaluations must be at least 1"),
    ],
)
def test_wrong_use_is_named(words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "model", *words, *_QUICK]) == EXIT_ERROR
    assert message in capsys.readouterr().err


def test_a_staggered_tick_of_random_weights_is_timed_and_reads_the_weights_once() -> None:
    options = WayOptions("cached", None, "tiny", "cpu", "float32", "int8", 1, 0.02, 4, 0, staggered=True)
    stages = {stage.name: stage for stage in measure_way(options).stages}
    tick, step, chunk = (stages[f"act, {name}"].parameters_read or 0 for name in ("staggered tick", "step", "chunk"))
    assert stages["act, staggered tick"].ms.p50 > 0 and chunk - 4 * step == tick - step > 0


def test_the_least_time_of_a_staggered_tick_is_predicted_where_it_was_asked_for() -> None:
    options = WayOptions("cached", None, "n1_2b", "cpu", "bfloat16", "int8", 1, 0.1, 1, 0, steps=4, staggered=True)
    made = floors(parts_of(options), Device("here", 20e9))
    ticks = {f.device: f.floor_ms for f in made if (f.call, f.weights) == ("act, staggered tick", "16 bit")}
    assert ticks["Jetson AGX Orin"] == pytest.approx(4.2, abs=0.1) and ticks["H200 SXM"] == pytest.approx(
        0.18, abs=0.01
    )
    assert "act, staggered tick, 8 bit" in table(made)


def test_the_option_is_called_the_same_in_the_evaluation_the_benchmark_and_the_controller() -> None:
    assert options_of(["eval", "--task", "stack", "--staggered"]).settings.staggered
    assert options_of(["bench", "model", "--staggered"]).staggered
    assert ControllerConfig(staggered=True).staggered and not ControllerConfig().staggered
