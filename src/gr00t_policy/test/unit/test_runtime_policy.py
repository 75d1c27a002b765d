# SPDX-License-Identifier: Apache-2.0
"""Policies: the two halves over the wire are the whole network; noise, time and refusals."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_checkpoint import noise_observation

from gr00t_policy.core.errors import MessageError
from gr00t_policy.core.types import ConditioningTokens
from gr00t_policy.core.wire import WireType, mask_from_bytes, mask_to_bytes, tokens_from_bytes, tokens_to_bytes
from gr00t_policy.data.transforms import ImageTransform, StateActionTransform
from gr00t_policy.model.checkpoint import Checkpoint
from gr00t_policy.runtime.backends import load_backend
from gr00t_policy.runtime.policy import Gr00tPolicy, HoldPolicy, ReplayPolicy

torch.set_num_threads(1)
MS = 1_000_000


@pytest.fixture
def policy(checkpoint: Checkpoint) -> Gr00tPolicy:
    return Gr00tPolicy(checkpoint, load_backend(checkpoint, "torch"), seed=3)


def over_the_wire(tokens: ConditioningTokens, kind: WireType) -> ConditioningTokens:
    data, shape = tokens_to_bytes(tokens.features, kind), tokens.features.shape
    mask = mask_from_bytes(mask_to_bytes(tokens.mask), shape[0])
    return replace(tokens, features=tokens_from_bytes(data, kind, shape), mask=mask)


def whole_network(checkpoint: Checkpoint, seed: int) -> np.ndarray:
    """The chunk (T, J) by one call of the network on one observation, nothing split, nothing precomputed."""
    observation, config = noise_observation(), checkpoint.config
    transform = StateActionTransform(
        checkpoint.embodiment, checkpoint.statistics, config.head.state_dim, config.head.action_dim
    )
    image = ImageTransform(config.vision.image_size, config.crop_fraction)(observation.images["ego_view"])
    prompt = checkpoint.prompt.encode(observation.instruction, 1)
    noise = np.random.default_rng(seed).normal(size=(config.head.horizon, config.head.action_dim))
    ids, mask = (torch.from_numpy(value)[None] for value in (prompt.input_ids, prompt.attention_mask))
    model = checkpoint.load_weights()
    with torch.no_grad():
        features = model.encode(torch.from_numpy(image)[None, None], ids, mask)
        state = torch.from_numpy(transform.encode_state(observation.state))[None]
        slot = torch.tensor([checkpoint.slot])
        actions = model.act(features, mask, state, slot, torch.from_numpy(noise.astype(np.float32))[None])
    return transform.decode_actions(actions[0].numpy())


@pytest.mark.parametrize(("kind", "tolerance"), [(WireType.FLOAT32, 1e-5), (WireType.BFLOAT16, 0.02)])
def test_encode_then_bytes_then_act_is_the_whole_network(
    checkpoint: Checkpoint, policy: Gr00tPolicy, kind: WireType, tolerance: float
) -> None:
    observation = noise_observation()
    policy.accept(over_the_wire(policy.encode(observation), kind))
    chunk = policy.act(observation.state, 5)
    np.testing.assert_allclose(chunk.positions, whole_network(checkpoint, seed=3), atol=tolerance)


def test_each_sentence_has_its_own_tokens_however_they_follow_each_other(
    checkpoint: Checkpoint, policy: Gr00tPolicy
) -> None:
    """The ids of a prompt are kept while its sentence stands, and no longer."""
    said = ["put the red can into the bin", "open the drawer", "open the drawer", "put the red can into the bin", ""]
    for sentence in said:
        observation = replace(noise_observation(), instruction=sentence)
        fresh = Gr00tPolicy(checkpoint, load_backend(checkpoint, "torch")).encode(observation)
        kept = policy.encode(observation)
        np.testing.assert_array_equal(kept.features, fresh.features)
        np.testing.assert_array_equal(kept.mask, fresh.mask)


def test_the_same_episode_gives_the_same_chunk_and_another_seed_another(policy: Gr00tPolicy) -> None:
    observation = noise_observation()
    tokens = policy.encode(observation)
    policy.accept(tokens)
    first, again = (policy.act(observation.state, 0).positions for _ in range(2))
    np.testing.assert_array_equal(first, again)
    policy.start_episode(4)
    policy.accept(tokens)
    assert np.abs(policy.act(observation.state, 0).positions - first).max() > 1e-3


def test_with_fresh_noise_each_chunk_is_another_and_the_same_episode_gives_them_again(checkpoint: Checkpoint) -> None:
    policy = Gr00tPolicy(checkpoint, load_backend(checkpoint, "torch"), fresh_noise=True)
    tokens = policy.encode(noise_observation())
    episodes = []
    for _ in range(2):
        policy.start_episode(3)
        policy.accept(tokens)
        episodes.append([policy.act(np.zeros(29), 0).positions for _ in range(2)])
    assert np.abs(episodes[0][0] - episodes[0][1]).max() > 1e-3
    np.testing.assert_array_equal(episodes[0], episodes[1])


def test_without_noise_the_seed_does_not_matter(checkpoint: Checkpoint) -> None:
    backend = load_backend(checkpoint, "torch")
    chunks = []
    for seed in (1, 2):
        policy = Gr00tPolicy(checkpoint, backend, seed=seed, noise_scale=0.0)
        policy.accept(policy.encode(noise_observation()))
        chunks.append(policy.act(np.zeros(29), 0).positions)
    np.testing.assert_array_equal(chunks[0], chunks[1])


def test_a_chunk_says_when_it_begins_and_what_it_was_computed_from(policy: Gr00tPolicy) -> None:
    policy.accept(replace(policy.encode(noise_observation(), sequence=8), stamp_ns=1_000))
    one, two = policy.act(np.zeros(29), 700 * MS), policy.act(np.zeros(29), 708 * MS)
    assert (one.stamp_ns, one.step_dt_s, one.state_stamp_ns) == (750 * MS, 0.05, 700 * MS)
    assert (one.tokens_sequence, one.tokens_stamp_ns, one.seed) == (8, 1_000, 3)
    assert two.chunk_id == one.chunk_id + 1
    assert one.positions.shape == (16, 29)
    assert one.joint_names == policy.embodiment.policy_joint_names


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"checkpoint_hash": "f" * 64}, "tokens come from checkpoint ffffffffffff"),
        ({"embodiment": "g1"}, "embodiment 'g1', not 'gr1'"),
        ({"features": np.zeros((42, 7), np.float32)}, "expected"),
        ({"mask": np.ones(3, bool)}, "expected"),
        ({"features": np.full((42, 192), np.nan, np.float32)}, "NaN"),
    ],
)
def test_tokens_that_do_not_fit_are_refused_and_the_old_ones_stay(
    policy: Gr00tPolicy, change: dict, reason: str
) -> None:
    good = policy.encode(noise_observation())
    policy.accept(good)
    width = good.features.shape[1]
    if "features" in change and change["features"].shape[1] == 192:
        change = {"features": np.full((len(good.mask), width), np.nan, np.float32)}
    before = policy.act(np.zeros(29), 0).positions
    with pytest.raises(MessageError, match=reason):
        policy.accept(replace(good, **change))
    assert policy.tokens is good
    np.testing.assert_array_equal(policy.act(np.zeros(29), 0).positions, before)


def test_a_state_or_a_chunk_with_nan_is_refused(policy: Gr00tPolicy, checkpoint: Checkpoint) -> None:
    policy.accept(policy.encode(noise_observation()))
    with pytest.raises(MessageError, match="joint state holds NaN"):
        policy.act(np.full(29, np.nan), 0)


def test_an_observation_without_the_camera_or_with_another_picture_is_refused_by_name(policy: Gr00tPolicy) -> None:
    good = noise_observation()
    image = good.images["ego_view"]
    with pytest.raises(MessageError, match="'gr1' looks through ego_view; there are pictures of no camera"):
        policy.encode(replace(good, images={}))
    with pytest.raises(MessageError, match="there are pictures of ego_view, wrist"):
        policy.encode(replace(good, images={"ego_view": image, "wrist": image}))
    with pytest.raises(
        MessageError, match=r"camera 'ego_view': expected \(224, 224, 3\) uint8 RGB, got \(112, 224, 3\)"
    ):
        policy.encode(replace(good, images={"ego_view": image[::2]}))
    with pytest.raises(MessageError, match="got .*float32"):
        policy.encode(replace(good, images={"ego_view": image.astype(np.float32)}))


def test_a_replay_plays_the_recording_in_its_own_time(checkpoint: Checkpoint) -> None:
    targets = np.outer(np.arange(40.0), np.ones(29))
    policy = ReplayPolicy(checkpoint.embodiment, targets)
    begin = policy.act(np.zeros(29), 10_000 * MS)
    later = policy.act(np.zeros(29), 10_525 * MS)
    np.testing.assert_allclose(begin.positions[:, 0], np.arange(16.0))
    np.testing.assert_allclose(later.positions[:, 0], 10.5 + np.arange(16.0))
    assert policy.act(np.zeros(29), 60_000 * MS).positions.max() == 39.0


def test_holding_gives_the_first_pose_for_ever(checkpoint: Checkpoint) -> None:
    policy = HoldPolicy(checkpoint.embodiment)
    pose = np.linspace(-1, 1, 29)
    policy.act(pose, 0)
    np.testing.assert_array_equal(policy.act(np.zeros(29), 50).positions, np.tile(pose, (16, 1)))
    policy.start_episode(0)
    np.testing.assert_array_equal(policy.act(np.zeros(29), 50).positions, np.zeros((16, 29)))
