# SPDX-License-Identifier: Apache-2.0
"""What a GPU would replay is the plain network: on fixed memory, padded and masked, for whatever comes in whatever order."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small_checkpoint import noise_observation, save_small_checkpoint, small_config

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.core.types import ConditioningTokens
from gr00t_policy.model.checkpoint import Checkpoint, load_checkpoint
from gr00t_policy.model.random_checkpoint import random_checkpoint
from gr00t_policy.runtime.backends import automatic_engine, load_backend, made_or_plain
from gr00t_policy.runtime.config import ControllerConfig
from gr00t_policy.runtime.graph_backend import GraphBackend
from gr00t_policy.runtime.known_actions import KnownActions
from gr00t_policy.runtime.policy import Gr00tPolicy
from gr00t_policy.runtime.staggering import StaggeredChunks, staggered_actions
from gr00t_policy.runtime.start_check import EngineRefusedError
from gr00t_policy.runtime.torch_backend import TorchBackend, memory_for

torch.set_num_threads(1)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: torch finds none here")


@pytest.fixture(scope="module")
def plain(checkpoint: Checkpoint) -> TorchBackend:
    return TorchBackend(checkpoint, dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def fixed(checkpoint: Checkpoint) -> GraphBackend:
    """Everything but the capture, which needs a GPU."""
    return GraphBackend(checkpoint, dtype="float32", device="cpu", capture=False)


def _asked(checkpoint: Checkpoint, tokens: int, seed: int):
    sizes, rng = checkpoint.config.head, np.random.default_rng(seed)
    features = rng.normal(size=(tokens, sizes.cross_dim)).astype(np.float32)
    real = np.arange(tokens) < max(tokens - 5, 1)
    state = rng.uniform(-1, 1, (1, sizes.state_dim)).astype(np.float32)
    noise = rng.normal(size=(sizes.horizon, sizes.action_dim)).astype(np.float32)
    weights = rng.uniform(0, 1, (sizes.horizon, 1)).astype(np.float32)
    return features, real, state, noise, KnownActions(-noise, weights)


def test_chunks_are_the_plain_heads_for_prompts_of_any_length_in_any_order(checkpoint, plain, fixed):
    for seed, tokens in enumerate((42, 7, 120, 42, 1, 42)):
        features, real, state, noise, known = _asked(checkpoint, tokens, seed)
        contexts = [backend.context(features, real) for backend in (plain, fixed)]
        for painted in (None, known, None):
            wanted, got = (
                backend.act(context, state, noise, painted)
                for backend, context in zip((plain, fixed), contexts, strict=True)
            )
            np.testing.assert_allclose(got, wanted, atol=2e-5)


def test_an_older_context_may_be_used_again_after_a_newer_one(checkpoint, plain, fixed):
    one, two = (_asked(checkpoint, tokens, seed) for seed, tokens in enumerate((42, 30)))
    contexts = [fixed.context(*asked[:2]) for asked in (one, two)]
    for asked, context in ((one, contexts[0]), (two, contexts[1]), (one, contexts[0])):
        wanted = plain.act(plain.context(*asked[:2]), *asked[2:4])
        np.testing.assert_allclose(fixed.act(context, *asked[2:4]), wanted, atol=2e-5)


def test_a_prompt_beyond_the_room_is_still_answered(checkpoint, plain, fixed):
    features, real, state, noise, _ = _asked(checkpoint, 400, 3)
    wanted = plain.act(plain.context(features, real), state, noise)
    np.testing.assert_allclose(fixed.act(fixed.context(features, real), state, noise), wanted, atol=2e-5)


def test_both_halves_give_the_plain_networks_chunk(checkpoint, plain, fixed):
    chunks = []
    for backend in (plain, fixed):
        policy = Gr00tPolicy(checkpoint, backend, seed=3)
        for seed in (0, 1):
            observation = noise_observation(seed)
            policy.accept(policy.encode(observation))
            chunks.append(policy.act(observation.state, 5).positions)
    np.testing.assert_allclose(chunks[:2], chunks[2:], atol=2e-5)
    assert np.abs(chunks[0] - chunks[1]).max() > 1e-3


def test_an_answer_is_not_overwritten_by_the_next_one(checkpoint, fixed):
    features, real, state, noise, _ = _asked(checkpoint, 42, 0)
    context = fixed.context(features, real)
    first = fixed.act(context, state, noise)
    kept = first.copy()
    fixed.act(context, -state, -noise)
    np.testing.assert_array_equal(first, kept)


def test_what_is_replayed_stays_in_its_place(checkpoint, fixed):
    """A graph knows addresses: a tensor that were made anew would not be seen by it."""
    features, real, state, noise, _ = _asked(checkpoint, 42, 0)
    tensors = [
        tensor for place in fixed._places for tensor in (*place.context.keys, *place.context.values, place.context.bias)
    ]
    before = [tensor.data_ptr() for tensor in tensors]
    assert len(set(before)) == len(before)
    fixed.act(fixed.context(features, real), state, noise)
    assert [tensor.data_ptr() for tensor in tensors] == before


def test_more_contexts_than_places_are_all_still_right_and_places_come_free_again(checkpoint, plain, fixed):
    asked = [_asked(checkpoint, tokens, seed) for seed, tokens in enumerate((42, 30, 7, 60, 50))]
    contexts = [fixed.context(*one[:2]) for one in asked]
    assert not any(place.free for place in fixed._places)
    for context, (features, real, state, noise, _) in zip(contexts, asked, strict=True):
        wanted = plain.act(plain.context(features, real), state, noise)
        np.testing.assert_allclose(fixed.act(context, state, noise), wanted, atol=2e-5)
    del context, contexts
    assert all(place.free for place in fixed._places)


def test_sentences_of_any_length_are_encoded_as_by_the_plain_network(tmp_path: Path):
    """Without a fixed window prompts are padded, also where every token looks at every other; the longest has no graph."""
    free = load_checkpoint(save_small_checkpoint(tmp_path / "free", small_config(instruction_tokens=0)))
    for network in (free, random_checkpoint("n1_tiny_release", 2)):
        plain = TorchBackend(network, "encoder", "float32", "cpu")
        fixed = GraphBackend(network, "encoder", "float32", "cpu", capture=False)
        assert [check.part for check in fixed.report.checks] == ["encoder"]
        views, side = len(network.embodiment.cameras), network.config.vision.image_size
        pixels = np.random.default_rng(0).uniform(-1, 1, (1, views, 3, side, side)).astype(np.float32)
        for words in (3, 0, 40, 1, 150):
            prompt = network.prompt.encode(" ".join(["can"] * words), views)
            seen = pixels, prompt.input_ids[None], prompt.attention_mask[None]
            wanted, got = plain.encode(*seen), fixed.encode(*seen)
            assert (len(prompt.input_ids) > fixed._room) == (words == 150)
            np.testing.assert_allclose(got, wanted, atol=1e-4 * np.abs(wanted).max())


def test_no_sentence_makes_the_encoder_anew_after_the_start(monkeypatch):
    """A capture takes as long as the encoder many times over, in a tick of the planner."""
    network = random_checkpoint("n1_tiny_release")
    fixed = GraphBackend(network, "encoder", "float32", "cpu", capture=False)
    monkeypatch.setattr("gr00t_policy.runtime.graph_backend.Replayed", None)
    side = network.config.vision.image_size
    for sentence in ("go", "put the red can into the blue bin", "x " * 200):
        prompt = network.prompt.encode(sentence, 1)
        fixed.encode(np.zeros((1, 1, 3, side, side), np.float32), prompt.input_ids[None], prompt.attention_mask[None])


def test_the_head_can_be_traced_whole_as_a_compiler_needs_it(checkpoint, plain):
    traced = GraphBackend(checkpoint, "head", "float32", "cpu", compiler="eager", capture=False)
    features, real, state, noise, known = _asked(checkpoint, 42, 5)
    wanted = plain.act(plain.context(features, real), state, noise, known)
    np.testing.assert_allclose(traced.act(traced.context(features, real), state, noise, known), wanted, atol=2e-5)


def test_a_head_that_is_replayed_wrongly_is_refused(checkpoint, monkeypatch):
    monkeypatch.setattr(GraphBackend, "_load", lambda self, place, context: None)  # keys and values never arrive
    with pytest.raises(EngineRefusedError, match="differs from the plain network"):
        GraphBackend(checkpoint, "head", "float32", "cpu", capture=False)


def test_an_encoder_that_is_replayed_wrongly_is_refused(checkpoint):
    class Twice(GraphBackend):
        def encode(self, *seen):
            return 2 * super().encode(*seen)

    with pytest.raises(EngineRefusedError, match="its encoder in fp32 differs from the plain network"):
        Twice(checkpoint, "encoder", "float32", "cpu", capture=False)


class Failing(GraphBackend):
    """Its compiler cannot do it."""

    error: Exception = RuntimeError("no kernel for this")

    def _compiled(self, function):
        def fails(*given, **named):
            raise self.error

        return fails


class Full(Failing):
    """The GPU has memory for the weights and not for the graph."""

    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize("part", ["encoder", "head"])
@pytest.mark.parametrize(
    ("kind", "said"), [(Failing, "cannot be captured: no kernel"), (Full, "does not fit into the mem")]
)
def test_what_cannot_be_captured_is_refused_by_name_or_replaced_by_the_plain_network(checkpoint, part, kind, said):
    def make():
        return kind(checkpoint, part, "float32", "cpu", capture=False)

    def plain(refused):
        return TorchBackend(checkpoint, part, "float32", "cpu", 0, refused)

    with pytest.raises(EngineRefusedError, match=rf"'cuda_graph' is refused: .*{part} {said}"):
        made_or_plain(make, plain, fallback=False)
    backend = made_or_plain(make, plain, fallback=True)
    assert type(backend) is TorchBackend and said in backend.report.refused


def test_the_automatic_engine_is_captured_on_a_gpu_and_torch_where_that_cannot_be():
    chosen = [
        automatic_engine(published=published, gpu=gpu)
        for published, gpu in ((True, True), (True, False), (False, True))
    ]
    assert chosen == ["cuda_graph", "torch", "openvino"]
    if not torch.cuda.is_available():
        assert load_backend(random_checkpoint("n1_tiny_release"), part="head").report.engine == "torch"


@pytest.fixture(scope="module")
def stepping(checkpoint: Checkpoint) -> GraphBackend:
    return GraphBackend(checkpoint, "head", "float32", "cpu", staggered=True, capture=False)


@pytest.mark.parametrize("lengths", [(42,) * 7, (42, 7, 40, 42, 1, 42, 30), (400,) * 6])
def test_chunks_in_flight_are_the_plain_heads_whole_ones(checkpoint, plain, stepping, lengths):
    """More observations than places and rows, also of prompts of other lengths in one pass, and beyond the room."""
    assert [check.part for check in stepping.report.checks] == ["head", "staggered"] and stepping.steps == 4
    asked = [_asked(checkpoint, tokens, seed) for seed, tokens in enumerate(lengths)]
    states, noise = np.stack([one[2] for one in asked]), np.stack([one[3] for one in asked])
    got = staggered_actions(stepping, [stepping.context(*one[:2]) for one in asked], states, noise)
    wanted = [plain.act(plain.context(*one[:2]), *one[2:4]) for one in asked]
    np.testing.assert_allclose(got, np.stack(wanted), atol=2e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_published_form_passes_the_start_check_of_its_pass(dtype):
    backend = GraphBackend(random_checkpoint("n1_tiny_release"), "head", dtype, "cpu", staggered=True, capture=False)
    assert [(check.part, check.passed) for check in backend.report.checks] == [("head", True), ("staggered", True)]


def test_a_row_of_the_pass_is_copied_when_its_tokens_are_others_and_stays_in_its_place(
    checkpoint, stepping, monkeypatch
):
    loads, load = [], GraphBackend._load
    monkeypatch.setattr(GraphBackend, "_load", lambda self, *given: (loads.append(given[0]), load(self, *given)))
    features, real, state, noise, _ = _asked(checkpoint, 42, 0)
    old, new = stepping.context(features, real), stepping.context(-features, real)
    states, x = np.stack([state] * 4), np.stack([noise] * 4)
    where = [row.context.keys[0].data_ptr() for row in stepping._rows]
    for contexts, copied in (([old] * 4, 4), ([old] * 4, 0), ([new, *[old] * 3], 1), ([new, new, old, old], 1)):
        loads.clear()
        stepping.advance(contexts, states, x)
        assert len(loads) == copied
    assert [row.context.keys[0].data_ptr() for row in stepping._rows] == where
    assert len(set(where)) == 4
    del old, new, contexts
    assert all(place.free for place in stepping._places), "rows hold no place"


def test_the_controllers_staggered_chunks_are_those_of_the_plain_network(checkpoint, plain, stepping):
    made = []
    for backend in (plain, stepping):
        policy = Gr00tPolicy(checkpoint, backend, seed=3)
        chunks, rng = StaggeredChunks[int](policy), np.random.default_rng(1)
        for tick in range(12):
            if tick in (0, 6):  # other tokens while chunks are in flight
                features, real, *_ = _asked(checkpoint, 42, tick)
                policy.accept(ConditioningTokens(features, real, tick, tick, "go", 1, checkpoint.hash, "gr1"))
            made.append(chunks.evaluate(rng.uniform(-0.3, 0.3, 29), tick, tick))
    for wanted, got in zip(made[:12], made[12:], strict=True):
        assert (wanted is None) == (got is None)
        if wanted is not None and got is not None:
            assert wanted[1] == got[1]
            np.testing.assert_allclose(got[0].positions, wanted[0].positions, atol=2e-5)


def test_a_pass_that_is_replayed_wrongly_is_refused(checkpoint):
    class Stays(GraphBackend):
        def advance(self, contexts, states, x):
            return x

    with pytest.raises(EngineRefusedError, match="its staggered in fp32 differs from the plain network"):
        Stays(checkpoint, "head", "float32", "cpu", staggered=True, capture=False)


def test_the_pass_can_be_traced_whole_as_a_compiler_needs_it(checkpoint, plain):
    traced = GraphBackend(checkpoint, "head", "float32", "cpu", staggered=True, compiler="eager", capture=False)
    features, real, state, noise, _ = _asked(checkpoint, 42, 5)
    given = [traced.context(features, real)] * 5, np.stack([state] * 5), np.stack([noise] * 5)
    wanted = plain.act(plain.context(features, real), state, noise)
    np.testing.assert_allclose(staggered_actions(traced, *given)[-1], wanted, atol=2e-5)


def test_without_the_graph_of_the_pass_single_steps_are_refused(checkpoint, fixed):
    with pytest.raises(ConfigError, match="cannot stagger its steps"):
        _ = Gr00tPolicy(checkpoint, fixed).flow_steps
    with pytest.raises(ConfigError, match="engine 'onnx' has no graph for staggered chunks"):
        ControllerConfig(engine="onnx", staggered=True)
    with pytest.raises(ConfigError, match="engine 'onnx' cannot make single Euler steps"):
        load_backend(checkpoint, "onnx", staggered=True)


def test_without_a_gpu_the_engine_is_refused_by_name(checkpoint):
    with pytest.raises(ConfigError, match="'cuda_graph' needs device 'cuda'"):
        load_backend(checkpoint, "cuda_graph", device="cpu")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="finds no GPU"):
            load_backend(checkpoint, "cuda_graph")


@pytest.mark.parametrize(
    ("engine", "said"),
    [("auto", "'openvino', which 'auto' means for this network,"), ("openvino", "'openvino'"), ("onnx", "'onnx'")],
)
def test_a_gpu_that_the_engine_would_not_use_is_refused_by_name(checkpoint, engine, said):
    with pytest.raises(
        ConfigError, match=f"engine {said} runs on the CPU alone, but parameter 'device' is 'cuda'.*'torch'"
    ):
        load_backend(checkpoint, engine, part="head", device="cuda", exported="somewhere")
    with pytest.raises(ConfigError, match="'device' is 'gpu'; choose one of: auto, cpu, cuda"):
        load_backend(checkpoint, engine, part="head", device="gpu", exported="somewhere")


def test_a_small_network_runs_on_the_cpu_where_no_gpu_is_asked_for(checkpoint, tmp_path):
    for device in ("auto", "cpu"):
        backend = load_backend(checkpoint, precision="fp32", cache=tmp_path, part="head", device=device)
        assert backend.report.engine == "openvino", device


def test_too_little_memory_is_one_error_that_says_what_to_do():
    with pytest.raises(ConfigError, match="head does not fit into the memory.*bfloat16"), memory_for("head", "cuda"):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@needs_gpu
@pytest.mark.parametrize("compiled", [False, True])
def test_on_a_gpu_the_captured_network_is_the_plain_one(checkpoint, compiled):
    plain = TorchBackend(checkpoint, dtype="float32", device="cuda")
    graph = load_backend(checkpoint, "cuda_graph", dtype="float32", staggered=True, compiled=compiled)
    for seed, tokens in enumerate((42, 7, 120, 42)):
        features, real, state, noise, known = _asked(checkpoint, tokens, seed)
        wanted = plain.act(plain.context(features, real), state, noise, known)
        np.testing.assert_allclose(graph.act(graph.context(features, real), state, noise, known), wanted, atol=1e-3)
    asked = [_asked(checkpoint, 42, seed) for seed in range(7)]
    states, noise = np.stack([one[2] for one in asked]), np.stack([one[3] for one in asked])
    got = staggered_actions(graph, [graph.context(*one[:2]) for one in asked], states, noise)
    whole = [plain.act(plain.context(*one[:2]), *one[2:4]) for one in asked]
    np.testing.assert_allclose(got, np.stack(whole), atol=1e-3)


@needs_gpu
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", ["bfloat16", "float8"])
def test_on_a_gpu_the_published_form_passes_its_start_check_in_both_halves(compiled, dtype):
    network = random_checkpoint("n1_tiny_release", 2)
    report = load_backend(network, "cuda_graph", dtype=dtype, compiled=compiled).report
    assert {check.part for check in report.checks} == {"encoder", "head"} and not report.refused
    assert load_backend(network, dtype=dtype).report.engine == "cuda_graph"  # automatically
