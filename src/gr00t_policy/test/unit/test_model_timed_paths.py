# SPDX-License-Identifier: Apache-2.0
"""What is timed is the same function, whichever way it runs, and what it must read is counted right."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.config import preset
from gr00t_policy.model.timed_paths import (
    TimedInputs,
    TimedPath,
    device_name,
    encode_parts,
    parameters_read,
    read_bandwidth,
)
from gr00t_policy.model.vla import Vla, build_vla

torch.set_num_threads(1)
_WORDS = 5


def small() -> tuple[Vla, TimedInputs]:
    """A network that already acts (no zero initialisation), for two embodiments."""
    config = preset("tiny")
    config = replace(config, vision=replace(config.vision, layers=1), head=replace(config.head, zero_init=False))
    model, rng = build_vla(config, seed=0).eval(), np.random.default_rng(0)
    ids = np.full((1, _WORDS + config.vision.tokens), config.image_token_id)
    ids[0, :_WORDS] = 9
    return model, TimedInputs(
        pixel_values=rng.normal(size=(1, 1, 3, 112, 112)).astype(np.float32),
        input_ids=ids,
        mask=np.ones_like(ids),
        state=rng.normal(size=(1, config.head.state_dim)).astype(np.float32),
        noise=rng.normal(size=(config.head.horizon, config.head.action_dim)).astype(np.float32),
        slot=1,
    )


def test_the_plain_and_the_cached_way_give_the_actions_of_the_network() -> None:
    model, inputs = small()
    plain, cached = (TimedPath(model.backbone, model.head, inputs, cached=kept) for kept in (False, True))
    with torch.no_grad():
        ids, mask = torch.from_numpy(inputs.input_ids), torch.from_numpy(inputs.mask)
        features = model.encode(torch.from_numpy(inputs.pixel_values), ids, mask)
        state, noise = torch.from_numpy(inputs.state)[None], torch.from_numpy(inputs.noise)[None]
        actions = model.act(features, mask, state, torch.tensor([1]), noise)
    assert not torch.allclose(actions, noise, atol=0.1)
    for path in (plain, cached):
        assert torch.allclose(path.act(), actions, atol=1e-5)
        assert torch.allclose(path.both(), actions, atol=1e-5)


def test_the_plain_way_computes_keys_values_and_flow_time_at_each_step_and_the_cached_way_never() -> None:
    model, inputs = small()
    calls: list[int] = []
    for part in (model.head.dit.blocks[0].attention.key, model.head.dit.time_in):
        part.register_forward_hook(lambda *_: calls.append(1))
    for kept, expected in ((False, 2 * model.config.head.steps), (True, 0)):
        path = TimedPath(model.backbone, model.head, inputs, cached=kept)
        calls.clear()
        path.act()
        assert len(calls) == expected


def test_parameters_read_by_the_published_network_follow_from_its_published_counts() -> None:
    plain, cached = (parameters_read(preset("n1_2b"), 99, cached=kept) for kept in (False, True))
    assert plain["encode"] == cached["encode"] == 1_335_279_856 - 49_164 * 2048 + 99 * 2048
    robot = (228_212_736 + 34_636_800) // 32
    assert plain["act, step"] == 537_803_776 + 16 * 1536 + robot
    assert plain["act, chunk"] == 4 * plain["act, step"] + 52_510_720 // 32
    assert cached["context"] == 8 * 2 * (1536 * 1536 + 1536)
    modulation = 17 * (3072 * 1536 + 3072) + (256 * 1536 + 1536) + (1536 * 1536 + 1536)
    assert cached["act, step"] == plain["act, step"] - cached["context"] - modulation - 1536 * 1536


def test_the_encoders_stages_read_what_the_encoder_reads_and_multiply_as_their_shapes_say() -> None:
    """By hand, for GR00T N1: 0.22 T operations for a picture, 0.15 T for 94 tokens; weights do not depend on pictures."""
    for views, tokens in ((1, 94), (2, 158)):
        vision, language = encode_parts(preset("n1_2b"), tokens, views)
        assert vision[0] + language[0] == parameters_read(preset("n1_2b"), tokens, cached=True)["encode"]
        assert 2 * vision[1] == pytest.approx(views * 0.221e12, rel=0.02)
        assert 2 * language[1] == pytest.approx(tokens / 94 * 0.154e12, rel=0.02)


def test_a_large_array_is_read_at_some_rate() -> None:
    assert 1e8 < read_bandwidth("cpu", 1) < 1e13


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_device_that_is_not_there_is_refused_with_what_this_build_of_torch_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for cuda, said in ((None, "install torch for CUDA"), ("13.0", "built for CUDA 13.0: the driver.* 580 or newer")):
        monkeypatch.setattr(torch.version, "cuda", cuda)
        with pytest.raises(ConfigError, match=f"'cuda' is not available.*{said}"):
            device_name("cuda")
