# SPDX-License-Identifier: Apache-2.0
"""The plain backend runs one half or both, in either number format, and says what it cannot do."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from released_folder import write_release_folder
from safetensors.torch import load_file, save_file
from small_checkpoint import noise_observation, save_small_checkpoint

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.published_images import PublishedImageTransform
from gr00t_policy.data.transforms import StateActionTransform
from gr00t_policy.model.checkpoint import Checkpoint, load_checkpoint
from gr00t_policy.runtime import torch_backend
from gr00t_policy.runtime.backends import blank_tokens, load_backend
from gr00t_policy.runtime.policy import Gr00tPolicy
from gr00t_policy.runtime.processor import has_bfloat16
from gr00t_policy.runtime.torch_backend import TorchBackend

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return load_checkpoint(write_release_folder(tmp_path_factory.mktemp("models") / "n1"))


def test_two_half_backends_are_the_whole_network(checkpoint: Checkpoint) -> None:
    observation, config, model = noise_observation(), checkpoint.config, checkpoint.load_weights()
    planner = Gr00tPolicy(checkpoint, TorchBackend(checkpoint, "encoder", "float32", "cpu"), seed=5)
    controller = Gr00tPolicy(checkpoint, TorchBackend(checkpoint, "head", "float32", "cpu"), seed=5)
    controller.accept(planner.encode(observation))
    chunk = controller.act(observation.state, 0)
    transform = StateActionTransform(
        checkpoint.embodiment, checkpoint.statistics, config.head.state_dim, config.head.action_dim
    )
    image = PublishedImageTransform(config.vision.image_size, config.crop_fraction)(observation.images["ego_view"])
    prompt = checkpoint.prompt.encode(observation.instruction)
    ids, mask = (torch.from_numpy(value)[None] for value in (prompt.input_ids, prompt.attention_mask))
    noise = np.random.default_rng(5).normal(size=(config.head.horizon, config.head.action_dim)).astype(np.float32)
    state = torch.from_numpy(transform.encode_state(observation.state))[None]
    with torch.no_grad():
        features = model.encode(torch.from_numpy(image)[None, None], ids, mask)
        actions = model.act(features, mask, state, torch.tensor([checkpoint.slot]), torch.from_numpy(noise)[None])
    expected = transform.decode_actions(actions[0].numpy())
    np.testing.assert_allclose(chunk.positions, expected, atol=1e-5)


def test_bfloat16_is_the_default_of_a_release_and_close_to_float32(checkpoint: Checkpoint) -> None:
    observation, chunks = noise_observation(), []
    for backend in (load_backend(checkpoint), load_backend(checkpoint, "torch", dtype="float32", device="cpu")):
        policy = Gr00tPolicy(checkpoint, backend, seed=1)
        tokens = policy.encode(observation)
        policy.accept(tokens)
        chunks.append(policy.act(observation.state, 0).positions)
    assert load_backend(checkpoint).dtype == torch.bfloat16
    assert 0 < np.abs(chunks[0] - chunks[1]).max() < 0.1


def test_it_encodes_by_calling_each_module_once_and_gives_the_plain_paths_bits(checkpoint: Checkpoint) -> None:
    prompt, side = checkpoint.prompt.encode("cup"), checkpoint.config.vision.image_size
    pixels = np.random.default_rng(2).uniform(-1, 1, (1, 1, 3, side, side)).astype(np.float32)
    ids, mask = prompt.input_ids[None], prompt.attention_mask[None]
    backend, calls = TorchBackend(checkpoint, "encoder", "bfloat16", "cpu"), Counter[str]()
    assert backend._backbone is not None
    for name, module in backend._backbone.named_modules():
        module.register_forward_hook(lambda *_, name=name: calls.update([name]))
    encoded = backend.encode(pixels, ids, mask)
    assert set(calls.values()) == {1} and {"", "vision", "connector", "language", "linear"} <= set(calls)
    seen, *rest = map(torch.from_numpy, (pixels, ids, mask))
    with torch.inference_mode():
        plain = checkpoint.load_backbone("bfloat16")(seen.bfloat16(), *rest)
    assert np.array_equal(encoded, plain[0].float().numpy())


def test_each_half_needs_the_tensors_of_its_own_alone(tmp_path: Path) -> None:
    folder = write_release_folder(tmp_path / "n1")
    tensors = load_file(folder / "model.safetensors")
    for prefix, part in (("backbone.", "encoder"), ("action_head.", "head")):
        half = {key: value for key, value in tensors.items() if key.startswith(prefix)}
        save_file(half, folder / "model.safetensors")
        TorchBackend(load_checkpoint(folder), part)


def test_a_checkpoint_of_ours_stays_in_float32(tmp_path: Path) -> None:
    assert TorchBackend(load_checkpoint(save_small_checkpoint(tmp_path / "small"))).dtype == torch.float32


def test_blank_tokens_of_a_release_warm_up_the_head(checkpoint: Checkpoint) -> None:
    policy = Gr00tPolicy(checkpoint, load_backend(checkpoint, part="head"))
    policy.accept(blank_tokens(checkpoint))
    assert np.isfinite(policy.act(np.zeros(29, np.float32), 0).positions).all()


def test_names_that_are_not_known_and_a_gpu_that_is_not_there_are_refused(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in ({"dtype": "float16"}, {"device": "tpu"}, {"part": "tail"}):
        with pytest.raises(ConfigError, match="choose one of"):
            TorchBackend(checkpoint, **wrong)
    if not torch.cuda.is_available():
        monkeypatch.setattr(torch.version, "cuda", "13.0")
        with pytest.raises(ConfigError, match=r"no GPU here.* CUDA 13\.0: the driver"):
            TorchBackend(checkpoint, device="cuda")


@pytest.mark.gpu
def test_on_a_gpu_the_actions_are_those_of_the_cpu(checkpoint: Checkpoint) -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU here")
    chunks = []
    for device in ("cpu", "cuda"):
        policy = Gr00tPolicy(checkpoint, TorchBackend(checkpoint, None, "float32", device), seed=1)
        policy.accept(policy.encode(noise_observation()))
        chunks.append(policy.act(np.zeros(29, np.float32), 0).positions)
    np.testing.assert_allclose(chunks[0], chunks[1], atol=1e-3)


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 amx_tile\n", True),
        ("flags\t\t: fpu avx512f avx512_vnni\n", False),
        ("Features\t: fp asimd bf16\n", True),
        ("Features\t: fp asimd\n", False),
        ("model name\t: one that does not tell\n", True),
    ],
)
def test_a_processor_without_bfloat16_is_known_by_its_flags(tmp_path: Path, text: str, has: bool) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{text}")
    assert has_bfloat16(tmp_path / "cpuinfo") is has
    assert has_bfloat16(tmp_path / "nothing is told here")


@pytest.mark.parametrize(
    ("dtype", "has", "warned"), [("auto", False, True), ("auto", True, False), ("float32", False, False)]
)
def test_where_bfloat16_is_emulated_the_faster_choice_is_named(
    checkpoint: Checkpoint, monkeypatch, caplog, dtype: str, has: bool, warned: bool
) -> None:
    monkeypatch.setattr(torch_backend, "has_bfloat16", lambda: has)
    TorchBackend(checkpoint, "head", dtype, "cpu")
    assert ("dtype 'float32' is several times as fast" in caplog.text) == warned
