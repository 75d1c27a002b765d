# SPDX-License-Identifier: Apache-2.0
"""The compiled engine computes what the plain network computes, from whatever state it is in, also out of its cache."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_checkpoint import noise_observation, save_small_checkpoint, small_config

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.action_head import ActionHead
from gr00t_policy.model.checkpoint import Checkpoint, load_checkpoint
from gr00t_policy.runtime.backends import load_backend
from gr00t_policy.runtime.engine import EngineConfig
from gr00t_policy.runtime.folded_head import FoldedContext, FoldedHead
from gr00t_policy.runtime.known_actions import KnownActions
from gr00t_policy.runtime.policy import Backend, Gr00tPolicy

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engine")


@pytest.fixture(scope="module")
def plain(checkpoint: Checkpoint) -> Backend:
    return load_backend(checkpoint, "torch")


@pytest.fixture(scope="module")
def exact(checkpoint: Checkpoint, cache: Path) -> Backend:
    return load_backend(checkpoint, "openvino", "fp32", cache)


@pytest.fixture(scope="module")
def fast(checkpoint: Checkpoint, cache: Path) -> Backend:
    return load_backend(checkpoint, "openvino", "int8", cache)


@pytest.fixture
def head(exact: Backend, cache: Path, tmp_path: Path) -> Path:
    """A cache with the head in float32 as ``exact`` left it, of the test's own."""
    (folder,) = cache.glob("*-head-fp32-*")
    shutil.copytree(folder, tmp_path / "cache" / folder.name)
    return tmp_path / "cache"


def inputs(checkpoint: Checkpoint, seed: int, tokens: int = 42, real: int = 35):
    rng = np.random.default_rng(seed)
    head = checkpoint.config.head
    return (
        rng.normal(size=(tokens, head.cross_dim)).astype(np.float32),
        np.arange(tokens) < real,
        rng.uniform(-1, 1, (1, head.state_dim)).astype(np.float32),
        rng.normal(size=(head.horizon, head.action_dim)).astype(np.float32),
    )


def actions(backend: Backend, features, mask, state, noise):
    return backend.act(backend.context(features, mask), state, noise)


def known_actions(checkpoint: Checkpoint, weights) -> KnownActions:
    head = checkpoint.config.head
    actions = np.random.default_rng(9).uniform(-1, 1, (head.horizon, head.action_dim)).astype(np.float32)
    return KnownActions(actions, np.asarray(weights, np.float32)[:, None])


@pytest.mark.parametrize("name", ["plain", "exact", "fast"])
def test_actions_that_are_known_come_out_as_they_are_and_the_rest_takes_note(checkpoint, name, request):
    backend, given = request.getfixturevalue(name), inputs(checkpoint, 4)
    context = backend.context(*given[:2])
    horizon = checkpoint.config.head.horizon
    known = known_actions(checkpoint, np.arange(horizon) < 5)
    free = backend.act(context, *given[2:])
    painted = backend.act(context, *given[2:], known)
    np.testing.assert_allclose(painted[:5], known.actions[:5], atol=1e-6)
    assert np.abs(painted[5:] - free[5:]).max() > 1e-5
    np.testing.assert_array_equal(backend.act(context, *given[2:]), free)
    nothing = KnownActions(known.actions, np.zeros_like(known.weights))
    np.testing.assert_allclose(backend.act(context, *given[2:], nothing), free, atol=1e-6)


def test_painting_in_is_the_same_in_the_engine_and_in_the_plain_network(checkpoint, plain, exact):
    given = inputs(checkpoint, 5)
    known = known_actions(checkpoint, np.linspace(1, 0, checkpoint.config.head.horizon))
    here, there = (backend.act(backend.context(*given[:2]), *given[2:], known) for backend in (plain, exact))
    np.testing.assert_allclose(here, there, atol=2e-4)


@pytest.mark.parametrize("attend_padding", [False, True])
@pytest.mark.parametrize("layers", [1, 4])
def test_folding_the_constants_changes_nothing(attend_padding: bool, layers: int) -> None:
    config = replace(small_config().head, layers=layers, attend_padding=attend_padding, embodiments=3)
    torch.manual_seed(layers)
    head = ActionHead(config).eval()
    for layer in head.modules():  # biases start at zero: give them a part to play
        for name, parameter in layer.named_parameters(recurse=False):
            if name in ("b", "bias"):
                torch.nn.init.normal_(parameter, std=0.1)
    features, mask = torch.randn(1, 20, config.cross_dim), (torch.arange(20) < 13).float()[None]
    state, noise = torch.randn(1, 1, config.state_dim), torch.randn(1, config.horizon, config.action_dim)
    with torch.no_grad():
        nothing = torch.zeros_like(noise), torch.zeros(1, config.horizon, 1)
        folded = FoldedHead(head, slot=2)(state, noise, *nothing, *FoldedContext(head)(features, mask))
        expected = head.sample(features, mask, state, torch.tensor([2]), noise)
    torch.testing.assert_close(folded, expected, atol=2e-5, rtol=1e-4)


def test_the_engine_in_float32_is_the_plain_network(checkpoint: Checkpoint, plain: Backend, exact: Backend) -> None:
    observation = noise_observation()
    tokens = [Gr00tPolicy(checkpoint, backend).encode(observation) for backend in (plain, exact)]
    np.testing.assert_allclose(tokens[1].features, tokens[0].features, atol=1e-4)
    for seed in range(3):
        given = inputs(checkpoint, seed)
        np.testing.assert_allclose(actions(exact, *given), actions(plain, *given), atol=1e-4)


def test_int8_moves_the_actions_by_less_than_three_percent(
    checkpoint: Checkpoint, plain: Backend, fast: Backend
) -> None:
    """Relative to how far the flow carries the noise: what the network decides, not what it was given."""
    errors = []
    for seed in range(8):
        given = inputs(checkpoint, seed)
        expected = actions(plain, *given)
        errors.append(np.linalg.norm(actions(fast, *given) - expected) / np.linalg.norm(expected - given[3]))
    assert 0 < np.mean(errors) < 0.03


def test_contexts_may_be_used_in_any_order(checkpoint: Checkpoint, exact: Backend) -> None:
    one, two = inputs(checkpoint, 1), inputs(checkpoint, 2)
    first, second = exact.context(*one[:2]), exact.context(*two[:2])
    alone = [exact.act(first, *one[2:]), exact.act(second, *two[2:])]
    mixed = [exact.act(first, *one[2:]), exact.act(second, *two[2:]), exact.act(first, *one[2:])]
    for got, expected in zip(mixed, [*alone, alone[0]], strict=True):
        np.testing.assert_array_equal(got, expected)


def test_padded_tokens_do_not_matter(checkpoint: Checkpoint, exact: Backend) -> None:
    features, mask, state, noise = inputs(checkpoint, 5)
    other = features.copy()
    other[~mask] = 50.0
    np.testing.assert_allclose(
        actions(exact, features, mask, state, noise), actions(exact, other, mask, state, noise), atol=1e-5
    )


def test_prompts_of_any_length_run_where_the_network_does_not_pad_them(tmp_path: Path) -> None:
    checkpoint = load_checkpoint(save_small_checkpoint(tmp_path / "m", small_config(instruction_tokens=0)))
    exact, plain = load_backend(checkpoint, "openvino", "fp32"), load_backend(checkpoint, "torch")
    for sentence in ("go", "put the red can into the blue bin"):
        observation = replace(noise_observation(), instruction=sentence)
        pair = [Gr00tPolicy(checkpoint, backend).encode(observation) for backend in (plain, exact)]
        np.testing.assert_allclose(pair[1].features, pair[0].features, atol=1e-4)
        given = (pair[0].features, pair[0].mask, *inputs(checkpoint, 0)[2:])
        np.testing.assert_allclose(actions(exact, *given), actions(plain, *given), atol=1e-4)


def test_the_second_start_reads_the_graphs_and_needs_no_torch(
    checkpoint: Checkpoint, fast: Backend, cache: Path
) -> None:
    features, mask, state, noise = inputs(checkpoint, 3)
    np.savez(cache / "given.npz", features=features, mask=mask, state=state, noise=noise)
    program = f"""
import sys, numpy as np
from pathlib import Path
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.runtime.backends import load_backend
backend = load_backend(load_checkpoint({str(checkpoint.folder)!r}), "openvino", "int8", Path({str(cache)!r}))
given = np.load({str(cache / "given.npz")!r})
context = backend.context(given["features"], given["mask"])
np.save({str(cache / "got.npy")!r}, backend.act(context, given["state"], given["noise"]))
assert "torch" not in sys.modules and "nncf" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    np.testing.assert_allclose(np.load(cache / "got.npy"), actions(fast, features, mask, state, noise), atol=1e-5)


def test_another_checkpoint_has_other_graphs_in_the_same_cache(checkpoint: Checkpoint, head: Path) -> None:
    other = load_checkpoint(save_small_checkpoint(head.parent / "other", seed=1))
    for one in (checkpoint, other):
        load_backend(one, "openvino", "fp32", head, part="head")
    assert len(list(head.iterdir())) == 2


def test_a_cache_that_cannot_be_written_is_no_obstacle(checkpoint: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    backend = load_backend(checkpoint, "openvino", "fp32", tmp_path / "file" / "cache", part="head")
    assert actions(backend, *inputs(checkpoint, 0)).shape == (16, 32)


def test_damaged_graphs_are_built_again(checkpoint: Checkpoint, head: Path) -> None:
    first = load_backend(checkpoint, "openvino", "fp32", head, part="head")
    (damaged,) = head.glob("*/head.xml")
    damaged.write_text("<net")
    again = load_backend(checkpoint, "openvino", "fp32", head, part="head")
    given = inputs(checkpoint, 0)
    np.testing.assert_array_equal(actions(again, *given), actions(first, *given))
    assert damaged.read_text() != "<net"


def test_unknown_names_are_refused_with_the_known_ones(checkpoint: Checkpoint) -> None:
    with pytest.raises(ConfigError, match="int8, bf16, fp32"):
        EngineConfig(precision="int4")
    with pytest.raises(ConfigError, match="openvino, onnx, torch"):
        load_backend(checkpoint, "tensorrt")
    with pytest.raises(ConfigError, match="known: encoder, head"):
        load_backend(checkpoint, part="tail")
