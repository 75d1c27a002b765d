# SPDX-License-Identifier: Apache-2.0
"""No engine drives before it has answered as the plain network does; nothing kept on disk can get around that."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import torch

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.checkpoint import Checkpoint
from gr00t_policy.runtime import engine
from gr00t_policy.runtime.backends import load_backend
from gr00t_policy.runtime.start_check import (
    INPUTS,
    TOLERANCES,
    EngineRefusedError,
    ReferenceAnswers,
    check_part,
    reference_answers,
)
from gr00t_policy.runtime.torch_backend import TorchBackend

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def plain(checkpoint: Checkpoint) -> TorchBackend:
    return TorchBackend(checkpoint, dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def reference(checkpoint: Checkpoint, plain: TorchBackend) -> ReferenceAnswers:
    return reference_answers(checkpoint, plain)


@pytest.fixture(scope="module")
def built(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("built")
    load_backend(checkpoint, "openvino", "fp32", cache)
    return cache


@pytest.fixture
def cache(built: Path, tmp_path: Path) -> Path:
    """A cache with both parts in float32, of the test's own."""
    return Path(shutil.copytree(built, tmp_path / "cache"))


class Off:
    """The plain network with something added to the answers to one of the inputs."""

    def __init__(self, backend: TorchBackend, error: float) -> None:
        self.backend, self.error, self.calls = backend, error, 0

    def _added(self, answer: np.ndarray) -> np.ndarray:
        self.calls += 1
        answer = answer.copy()
        answer[0, 0] += self.error if self.calls == INPUTS else 0.0
        return answer

    def encode(self, *given):
        return self._added(self.backend.encode(*given))

    def context(self, *given):
        return self.backend.context(*given)

    def act(self, *given):
        return self._added(self.backend.act(*given))


@pytest.mark.parametrize("part", ["encoder", "head"])
def test_the_plain_network_passes_without_any_error(checkpoint, plain, reference, part: str) -> None:
    check = check_part(plain, part, "fp32", checkpoint, reference)
    assert check.passed and check.max_error < 1e-6 and check.inputs == INPUTS


@pytest.mark.parametrize("part", ["encoder", "head"])
def test_one_wrong_number_in_one_answer_is_found(checkpoint, plain, reference, part: str) -> None:
    size = float(np.sqrt(np.square(reference.features).mean())) if part == "encoder" else 1.0
    check = check_part(Off(plain, 0.01 * size), part, "fp32", checkpoint, reference)
    assert not check.passed and check.max_error == pytest.approx(0.01, rel=1e-3)


def test_the_error_of_the_head_is_also_told_in_joint_angles(checkpoint, plain, reference) -> None:
    """Statistics of this checkpoint are the joints' limits: an error of 1 is half a joint's range."""
    first = checkpoint.embodiment.policy_joints[0]
    check = check_part(Off(plain, 0.01), "head", "fp32", checkpoint, reference)
    assert check.max_error_rad == pytest.approx(0.01 * (first.upper_rad - first.lower_rad) / 2, rel=1e-2)


@pytest.mark.parametrize("part", ["encoder", "head"])
def test_an_answer_that_is_not_a_number_never_passes(checkpoint, plain, reference, part: str) -> None:
    assert not check_part(Off(plain, float("nan")), part, "int8", checkpoint, reference).passed


def test_what_lies_in_the_padding_of_actions_is_not_judged(checkpoint, plain, reference) -> None:
    class InThePadding(Off):
        def _added(self, answer: np.ndarray) -> np.ndarray:
            answer = answer.copy()
            answer[:, -1] += 5.0
            return answer

    assert checkpoint.embodiment.encoded_width("action") < checkpoint.config.head.action_dim
    assert check_part(InThePadding(plain, 0.0), "head", "fp32", checkpoint, reference).passed


@pytest.mark.parametrize("part", ["encoder", "head"])
def test_a_tampered_graph_in_the_cache_is_refused_by_name(
    checkpoint: Checkpoint, cache: Path, caplog: pytest.LogCaptureFixture, part: str
) -> None:
    (graph,) = cache.glob(f"*/{part}.xml")
    _halve_the_largest_weights(graph)
    said = rf"'openvino' is refused: its {part} in fp32.*tolerance.*{graph.parent.name}"
    with pytest.raises(EngineRefusedError, match=said):
        load_backend(checkpoint, "openvino", "fp32", cache, part=part)
    with caplog.at_level(logging.WARNING):
        backend = load_backend(checkpoint, "openvino", "fp32", cache, part=part, fallback=True)
    assert isinstance(backend, TorchBackend) and backend.dtype == torch.float32
    assert part in backend.report.refused and "the plain network takes its place" in caplog.text


def test_a_graph_of_something_else_is_refused_too(checkpoint: Checkpoint, cache: Path) -> None:
    (head,) = cache.glob("*/head.xml")
    for kind in (".xml", ".bin"):
        shutil.copy(head.with_suffix(kind), head.with_name(f"context{kind}"))
    with pytest.raises(EngineRefusedError, match="its head does not run"):
        load_backend(checkpoint, "openvino", "fp32", cache, part="head")


def test_reference_answers_that_cannot_be_read_are_made_again(checkpoint: Checkpoint, cache: Path) -> None:
    (file,) = cache.glob("*-head-*/reference.npz")
    good = file.read_bytes()
    file.write_bytes(good[: len(good) // 2])
    backend = load_backend(checkpoint, "openvino", "fp32", cache, part="head")
    assert backend.report.checks[0].passed and len(file.read_bytes()) == len(good)


def test_the_report_of_an_engine_says_what_was_found(checkpoint: Checkpoint, cache: Path) -> None:
    report = load_backend(checkpoint, "openvino", "int8", cache).report
    assert [(check.part, check.precision) for check in report.checks] == [("encoder", "fp32"), ("head", "int8")]
    assert 0 < report.checks[1].max_error < TOLERANCES["head"]["int8"]
    assert "head in int8 differs from the plain network by" in str(report)
    assert load_backend(checkpoint, "torch").report.checks == ()


def test_other_euler_steps_have_graphs_and_answers_of_their_own(checkpoint: Checkpoint, cache: Path) -> None:
    two = replace(checkpoint, config=replace(checkpoint.config, head=replace(checkpoint.config.head, steps=2)))
    for each in (checkpoint, two):
        assert load_backend(each, "openvino", "fp32", cache, part="head").report.checks[0].passed
    assert len(list(cache.glob("*-head-*"))) == 2


def test_a_cpu_without_bfloat16_is_told_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    class Old:
        def get_property(self, device: str, name: str) -> list[str]:
            return ["FP32", "INT8"]

    with pytest.raises(ConfigError, match="AVX512_BF16 or AMX_BF16.*FP32, INT8; use 'int8' or 'fp32'"):
        engine.require_support(Old(), "bf16")
    engine.require_support(Old(), "int8")


def test_bfloat16_runs_within_its_tolerance_or_is_refused(checkpoint: Checkpoint, cache: Path) -> None:
    """Some CPUs lack it, and on some OpenVINO computes it wrongly: whatever the machine, no wrong answer gets through."""
    try:
        checks = load_backend(checkpoint, "openvino", "bf16", cache, part="head").report.checks
    except (ConfigError, EngineRefusedError) as error:
        checks, said = (), str(error)
    assert checks[0].max_error <= TOLERANCES["head"]["bf16"] if checks else "bf16" in said


def _halve_the_largest_weights(graph: Path) -> None:
    """Everything else stays, also the names and the shapes."""
    constants = [op for op in ov.Core().read_model(graph).get_ordered_ops() if op.get_type_name() == "Constant"]
    values = max((op.data.copy() for op in constants if op.data.dtype == np.float32), key=lambda data: data.nbytes)
    raw = bytearray(graph.with_suffix(".bin").read_bytes())
    at = raw.find(values.tobytes())
    assert at >= 0
    raw[at : at + values.nbytes] = (values / 2).tobytes()
    graph.with_suffix(".bin").write_bytes(raw)
