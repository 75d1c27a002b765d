# SPDX-License-Identifier: Apache-2.0
"""Chunks in flight: each is exactly the chunk of the observation it began from, in both engines; none outlives its sentence."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_checkpoint import small_config

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import ConfigError, MessageError
from gr00t_policy.core.types import ConditioningTokens
from gr00t_policy.model.action_head import ActionHead
from gr00t_policy.model.checkpoint import Checkpoint
from gr00t_policy.runtime.backends import load_backend
from gr00t_policy.runtime.config import ControllerConfig
from gr00t_policy.runtime.engine import EngineConfig
from gr00t_policy.runtime.folded_head import FoldedContext, FoldedPass
from gr00t_policy.runtime.policy import Gr00tPolicy, HoldPolicy
from gr00t_policy.runtime.staggering import StaggeredChunks, staggered_actions
from gr00t_policy.runtime.start_check import EngineRefusedError, ReferenceAnswers

torch.set_num_threads(1)
MS = 1_000_000
NS = 1_000_000_000


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engine")


@pytest.fixture(scope="module")
def engine(checkpoint: Checkpoint, cache: Path):
    return load_backend(checkpoint, "openvino", "fp32", cache, part="head", staggered=True)


def tokens_of(checkpoint: Checkpoint, sequence: int, sentence: str = "take the can", length: int = 42):
    rng = np.random.default_rng(sequence)
    features = rng.normal(size=(length, checkpoint.config.head.cross_dim)).astype(np.float32)
    real = np.arange(length) < 35
    return ConditioningTokens(features, real, sequence * 100 * MS, sequence, sentence, 0, checkpoint.hash, "gr1")


def policy_of(checkpoint: Checkpoint, backend, noise_scale: float = 1.0) -> Gr00tPolicy:
    policy = Gr00tPolicy(checkpoint, backend, seed=3, noise_scale=noise_scale)
    policy.accept(tokens_of(checkpoint, 1))
    return policy


def pose(number: int) -> np.ndarray:
    return np.random.default_rng(number).uniform(-0.3, 0.3, 29)


def observations(checkpoint: Checkpoint, backend, count: int):
    """Each with features, state and noise of its own."""
    rng, head = np.random.default_rng(7), checkpoint.config.head
    features = rng.normal(size=(count, 42, head.cross_dim)).astype(np.float32)
    contexts = [backend.context(one, np.arange(42) < 30 + number) for number, one in enumerate(features)]
    states = rng.uniform(-1, 1, (count, 1, head.state_dim)).astype(np.float32)
    return contexts, states, rng.normal(size=(count, head.horizon, head.action_dim)).astype(np.float32)


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_staggered_steps_of_many_observations_are_their_whole_evaluations_in_torch(checkpoint, steps):
    backend = load_backend(checkpoint.with_steps(steps), "torch", part="head")
    given = observations(checkpoint, backend, 6)
    whole = np.stack([backend.act(*one) for one in zip(*given, strict=True)])
    np.testing.assert_allclose(staggered_actions(backend, *given), whole, atol=1e-5)


def test_staggered_steps_of_many_observations_are_their_whole_evaluations_in_the_engine(checkpoint, engine):
    given = observations(checkpoint, engine, 6)
    whole = np.stack([engine.act(*one) for one in zip(*given, strict=True)])
    np.testing.assert_allclose(staggered_actions(engine, *given), whole, atol=1e-5)


@pytest.mark.parametrize(("layers", "steps", "attend_padding"), [(1, 4, True), (3, 2, False)])
def test_the_folded_pass_makes_the_step_of_each_row_as_the_network_does(layers, steps, attend_padding):
    config = replace(small_config().head, layers=layers, attend_padding=attend_padding, embodiments=3, steps=steps)
    torch.manual_seed(layers)
    head = ActionHead(config).eval()
    for layer in head.modules():  # biases start at zero: give them a part to play
        for name, parameter in layer.named_parameters(recurse=False):
            if name in ("b", "bias"):
                torch.nn.init.normal_(parameter, std=0.1)
    features, mask = torch.randn(steps, 20, config.cross_dim), (torch.arange(20) < 13).float().expand(steps, -1)
    states, x = torch.randn(steps, 1, config.state_dim), torch.randn(steps, config.horizon, config.action_dim)
    slot = torch.tensor([2])
    with torch.no_grad():
        folded = FoldedPass(head, slot=2)(states, x, *FoldedContext(head)(features, mask))
        context = head.precompute_context(features, mask)
        expected = head.advance(context, states, slot, x, head.time_tables(slot))
    torch.testing.assert_close(folded, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("noise_scale", [0.0, 1.0])
@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_under_a_constant_observation_every_staggered_chunk_is_the_plain_one(checkpoint, engine, name, noise_scale):
    backend = engine if name == "openvino" else load_backend(checkpoint, "torch", part="head")
    policy = policy_of(checkpoint, backend, noise_scale)
    plain = policy.act(pose(0), 0).positions
    chunks = StaggeredChunks[int](policy)
    made = [chunks.evaluate(pose(0), 10 * MS * tick, tick) for tick in range(9)]
    assert [one is None for one in made] == [False, True, True, True, *[False] * 5]
    for one in made:
        if one is not None:
            np.testing.assert_allclose(one[0].positions, plain, atol=2e-6, rtol=2e-6)


def test_a_chunk_keeps_the_state_and_tokens_that_it_began_with_and_is_stamped_with_them(checkpoint, engine):
    policy, plain = policy_of(checkpoint, engine), policy_of(checkpoint, load_backend(checkpoint, "torch", part="head"))
    chunks = StaggeredChunks[int](policy)
    for tick in range(20):
        if tick in (6, 7, 13):  # also one on the heels of another: three kinds of tokens in flight
            policy.accept(tokens_of(checkpoint, tick))
        made = chunks.evaluate(pose(tick), 10 * MS * tick, tick)
        if tick in (1, 2, 3):
            assert made is None
            continue
        assert made is not None
        chunk, began = made
        assert began == max(tick - 3, 0)
        sequence = max(number for number in (1, 6, 7, 13) if number <= max(began, 1))
        plain.accept(tokens_of(checkpoint, sequence))
        expected = plain.act(pose(began), 10 * MS * began)
        np.testing.assert_allclose(chunk.positions, expected.positions, atol=1e-5)
        assert (chunk.stamp_ns, chunk.state_stamp_ns) == (expected.stamp_ns, expected.state_stamp_ns)
        assert (chunk.tokens_sequence, chunk.tokens_stamp_ns) == (sequence, sequence * 100 * MS)


def test_with_another_sentence_nothing_of_the_old_one_is_finished_and_its_first_chunk_is_there_at_once(checkpoint):
    policy = policy_of(checkpoint, load_backend(checkpoint, "torch", part="head"))
    chunks = StaggeredChunks[int](policy)
    for tick in range(6):
        chunks.evaluate(pose(tick), 10 * MS * tick, tick)
    policy.accept(tokens_of(checkpoint, 9, "take the pear", length=44))
    made = [chunks.evaluate(pose(tick), 10 * MS * tick, tick) for tick in range(6, 14)]
    assert [one and one[1] for one in made] == [6, None, None, None, 7, 8, 9, 10]
    assert all(one is None or one[0].tokens_sequence == 9 for one in made)


def test_after_a_flush_and_after_the_clock_was_set_back_nothing_that_was_in_flight_is_finished(checkpoint):
    chunks = StaggeredChunks[int](policy_of(checkpoint, load_backend(checkpoint, "torch", part="head")))
    for tick in range(6):
        chunks.evaluate(pose(tick), NS + 10 * MS * tick, tick)
    chunks.flush()
    made = [chunks.evaluate(pose(tick), NS + 10 * MS * tick, tick) for tick in range(6, 12)]
    assert [one and one[1] for one in made] == [6, None, None, None, 7, 8]
    made = [chunks.evaluate(pose(tick), 10 * MS * (tick - 12), tick) for tick in range(12, 18)]
    assert [one and one[1] for one in made] == [12, None, None, None, 13, 14]


def test_a_broken_state_is_refused_and_takes_what_was_in_flight_with_it(checkpoint):
    chunks = StaggeredChunks[int](policy_of(checkpoint, load_backend(checkpoint, "torch", part="head")))
    for tick in range(6):
        chunks.evaluate(pose(tick), 10 * MS * tick, tick)
    with pytest.raises(MessageError, match="NaN"):
        chunks.evaluate(np.full(29, np.nan), 60 * MS, 6)
    made = chunks.evaluate(pose(7), 70 * MS, 7)
    assert made is not None and made[1] == 7


def test_the_start_check_holds_staggered_chunks_against_the_plain_network(checkpoint, engine, cache, tmp_path):
    assert [check.part for check in engine.report.checks] == ["head", "staggered"]
    shutil.copytree(cache, tmp_path / "cache")
    kept = next((tmp_path / "cache").glob("*-staggered-*")) / "reference.npz"
    answers = ReferenceAnswers.load(kept)
    replace(answers, actions=answers.actions[::-1]).save(kept)
    with pytest.raises(EngineRefusedError, match="staggered in fp32 differs"):
        load_backend(checkpoint, "openvino", "fp32", tmp_path / "cache", part="head", staggered=True)


def test_what_cannot_be_staggered_says_so(checkpoint, cache):
    with pytest.raises(ConfigError, match="no flow"):
        StaggeredChunks[int](HoldPolicy(load_embodiment("gr1")))
    whole = load_backend(checkpoint, "openvino", "fp32", cache, part="head")
    with pytest.raises(ConfigError, match="cannot stagger"):
        StaggeredChunks[int](policy_of(checkpoint, whole))
    with pytest.raises(ConfigError, match="exported graphs have no part 'staggered'"):
        EngineConfig("fp32", exported=Path("anywhere"), parts=("head", "staggered"))
    for settings, words in (
        ({"chunk_mode": "rtc"}, "chunk_mode 'rtc'"),
        ({"head_mode": "worker"}, "head_mode"),
        ({"engine": "onnx"}, "engine 'onnx'"),
    ):
        with pytest.raises(ConfigError, match=words):
            ControllerConfig(staggered=True, **settings)
