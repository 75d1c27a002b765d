# SPDX-License-Identifier: Apache-2.0
"""8-bit floating point matrices: near the plain ones, for rows of any size, and refused when they are not."""

import numpy as np
import pytest
import torch
from torch import nn

from gr00t_policy.runtime import fp8_head
from gr00t_policy.runtime.fp8_head import Fp8Linear, matrices_to_fp8, require_fp8
from gr00t_policy.runtime.graph_backend import GraphBackend
from gr00t_policy.runtime.start_check import EngineRefusedError, head_inputs
from gr00t_policy.runtime.torch_backend import TorchBackend

torch.set_num_threads(1)


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
@torch.inference_mode()
def test_a_layer_is_the_plain_one_to_a_few_percent_however_large_its_numbers_are(size):
    torch.manual_seed(0)
    linear = nn.Linear(256, 512)
    x = size * torch.randn(2, 17, 256)
    x[0, 3] *= 1000.0  # rows have scales of their own
    x[1, 5] = 0.0
    got, wanted = Fp8Linear(linear)(x).float(), linear(x)
    spread = wanted.std(dim=-1, keepdim=True) + wanted.abs().mean(dim=-1, keepdim=True)
    assert got.shape == wanted.shape
    assert float(((got - wanted).abs() / spread).max()) < 0.2
    assert float((got - wanted).square().mean().sqrt() / wanted.square().mean().sqrt()) < 0.04


def test_what_works_in_each_step_becomes_8_bit_and_nothing_else(checkpoint):
    head = checkpoint.load_head("bfloat16", "cpu")
    count = matrices_to_fp8(head)
    matrices = [module for module in head.modules() if isinstance(module, Fp8Linear)]
    assert count == sum(matrix.weight.numel() for matrix in matrices)
    assert all(matrix.weight.element_size() == 1 for matrix in matrices)
    assert len(matrices) == 4 + 6  # a cross block, whose keys and values are kept, and a self block
    assert not any(isinstance(module, Fp8Linear) for module in head.action_decoder.modules())


def test_both_engines_take_it_and_say_how_far_it_is_off(checkpoint):
    plain = TorchBackend(checkpoint, "head", "float32", "cpu")
    backends = (
        TorchBackend(checkpoint, "head", "float8", "cpu"),
        GraphBackend(checkpoint, "head", "float8", "cpu", capture=False),
    )
    for features, real, state, noise in head_inputs(checkpoint, (42, 30), seed=7):
        wanted = plain.act(plain.context(features, real), state, noise)
        answers = [backend.act(backend.context(features, real), state, noise) for backend in backends]
        for got in answers:
            assert 1e-4 < np.abs(got - wanted).max() < 0.25
        np.testing.assert_allclose(*answers, atol=0.1)
    for backend in backends:
        assert backend.report.precision == "float8"
        assert backend.report.checks[0].precision == "fp8" and backend.report.checks[0].passed


def test_matrices_that_went_wrong_are_refused(checkpoint, monkeypatch):
    scaled = fp8_head._scaled
    monkeypatch.setattr(fp8_head, "_scaled", lambda rows: (scaled(rows)[0], 3.0 * scaled(rows)[1]))
    with pytest.raises(EngineRefusedError, match="'float8' is refused"):
        TorchBackend(checkpoint, "head", "float8", "cpu")


def test_a_gpu_that_cannot_multiply_in_8_bit_is_refused_by_name_before_anything_is_loaded(checkpoint, monkeypatch):
    """There is no such GPU here: torch is made to speak of one, and would fail at the first tensor on it."""
    capability = [(8, 0)]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA A100")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability[0])
    for part in ("head", None):
        with pytest.raises(EngineRefusedError, match="A100 has compute capability 8.0, .* 8.9 or more; use 'bfloat16'"):
            TorchBackend(checkpoint, part, "float8", "cuda")
    for capability[0] in ((8, 9), (10, 0), (11, 0)):
        require_fp8("cuda")
