# SPDX-License-Identifier: Apache-2.0
"""The Diffusion Policy's network: shapes, what counts in its loss, what its sentence does, and that it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_diffusion import made_batch, small_diffusion_config

from gr00t_policy.baseline.config import diffusion_config, diffusion_config_from_dict, diffusion_config_to_dict
from gr00t_policy.baseline.diffusion import ddim, sampled_steps
from gr00t_policy.baseline.eye import spatial_softmax
from gr00t_policy.baseline.network import build_diffusion_policy
from gr00t_policy.baseline.unet import ConditionalUnet1d
from gr00t_policy.core.errors import ConfigError


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize(("levels", "horizon"), [(1, 5), (2, 8), (3, 16), (4, 16)])
def test_the_noise_predicted_has_the_shape_of_the_actions(levels, horizon):
    config = small_diffusion_config(levels=levels, horizon=horizon).head
    net = ConditionalUnet1d(config)
    film = net.film(net.embed_steps(torch.arange(5)), torch.randn(5, config.cross_dim + config.state_dim))
    assert net(torch.randn(5, horizon, 3), film).shape == (5, horizon, 3)


def test_the_network_for_the_gr1_is_as_large_as_our_tiny_one():
    model = build_diffusion_policy(diffusion_config(58, 29), 0)
    assert 4.5e6 < sum(p.numel() for p in model.parameters()) < 5.5e6


def test_every_weight_learns():
    model = build_diffusion_policy(small_diffusion_config(), 0)
    model.loss(made_batch()).backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not bool(p.grad.abs().any())]
    assert silent == []


def test_the_loss_is_the_mean_over_what_the_mask_leaves():
    """The losses under a mask and under its complement, weighted by their numbers, are the loss of all."""
    model, batch = build_diffusion_policy(small_diffusion_config(), 0), made_batch()
    mask = (torch.rand(batch["action_mask"].shape) < 0.3).float()
    with torch.no_grad():
        part, rest, whole = (float(model.loss({**batch, "action_mask": m})) for m in (mask, 1 - mask, mask * 0 + 1))
    share = float(mask.mean())
    assert share * part + (1 - share) * rest == pytest.approx(whole, rel=1e-5)
    assert abs(part - rest) > 1e-4


def test_samples_of_one_picture_share_it_in_their_order():
    model, batch = build_diffusion_policy(small_diffusion_config(), 0), made_batch(pictures=2, samples=2)
    apart = [{k: v[i : i + 1] if len(v) == 2 else v[2 * i : 2 * i + 2] for k, v in batch.items()} for i in range(2)]
    with torch.no_grad():
        mean = sum(float(model.loss(one)) for one in apart) / 2
        assert float(model.loss(batch)) == pytest.approx(mean, rel=1e-5)


def test_what_is_made_ahead_of_the_sampler_changes_nothing():
    model = build_diffusion_policy(small_diffusion_config(), 0).eval()
    features, state, noise = torch.randn(1, model.config.head.cross_dim), torch.randn(1, 1, 4), torch.randn(1, 8, 3)
    condition, visited = torch.cat([features, state[:, 0]], dim=-1), sampled_steps(100, 10)

    def one_at_a_time(x, number):
        return model.head(x, model.head.film(model.head.embed_steps(torch.tensor([visited[number]])), condition))

    with torch.no_grad():
        plain = ddim(one_at_a_time, noise, model.alpha_bar, 10, clip=True)
        torch.testing.assert_close(model.act(features, state, noise), plain, atol=1e-5, rtol=1e-4)


def test_a_point_lies_where_its_map_is_bright_and_goes_with_it():
    maps = torch.zeros(1, 2, 5, 7)
    maps[0, 0, 0, 6] = maps[0, 1, 2, 3] = 100.0
    np.testing.assert_allclose(spatial_softmax(maps)[0], [1, 0, -1, 0], atol=1e-5)
    np.testing.assert_allclose(spatial_softmax(maps.flip(-1))[0], [-1, 0, -1, 0], atol=1e-5)


def test_padding_says_nothing_and_no_words_say_nothing():
    reader = build_diffusion_policy(small_diffusion_config(), 0).backbone.sentence
    ids, mask = torch.tensor([[7, 8, 0, 0], [7, 8, 9, 9], [7, 9, 0, 0]]), torch.tensor([[1, 1, 0, 0]] * 3)
    with torch.no_grad():
        told = reader(ids, mask)
        torch.testing.assert_close(told[0], told[1])
        assert float((told[0] - told[2]).abs().max()) > 1e-3
        assert not bool(reader(ids, mask * 0).any())


def test_the_sentence_changes_where_the_eye_looks():
    eye = build_diffusion_policy(small_diffusion_config(), 0).backbone.eye
    picture = torch.rand(1, 3, 32, 32).expand(2, -1, -1, -1)
    with torch.no_grad():
        one, other = eye(picture, torch.stack([torch.ones(8), -torch.ones(8)]))
    assert float((one - other).abs().max()) > 1e-3


def test_it_learns_which_sentence_means_which_chunk():
    """One picture, two sentences, a chunk for each: the loss falls tenfold, and noise becomes nearly the one that was named."""
    model = build_diffusion_policy(small_diffusion_config(width=24), 0)
    batch, steps, rate = made_batch(pictures=2, samples=16), 300, 5e-3
    batch["pixel_values"] = batch["pixel_values"][:1].expand(2, -1, -1, -1, -1)
    chunks = torch.stack([torch.linspace(-0.8, 0.8, 8), torch.linspace(0.5, -0.5, 8)])[:, :, None].expand(-1, -1, 3)
    batch["action"], batch["state"] = chunks.repeat_interleave(16, dim=0), torch.zeros(32, 1, 4)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = rate * (1 - step / steps)
        batch["t"] = torch.randint(0, 100, (32,), generator=generator)
        batch["noise"] = torch.randn(32, 8, 3, generator=generator)
        loss = model.loss(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-20:]) < np.mean(losses[:5]) / 10
    model.eval()
    with torch.no_grad():
        features = model.encode(batch["pixel_values"], batch["input_ids"], batch["attention_mask"])
        noise = torch.randn(8, 8, 3, generator=generator)
        for told in range(2):
            found = torch.cat(
                [model.act(features[told : told + 1], torch.zeros(1, 1, 4), one[None], 50) for one in noise]
            )
            errors = (found - chunks[:, None]).abs().mean(dim=(1, 2, 3))
            assert errors[told] < errors[1 - told] / 2, f"sentence {told} gives chunks {errors} from those of the two"


def test_a_configuration_survives_json_and_says_what_it_is():
    config = small_diffusion_config()
    data = diffusion_config_to_dict(config)
    assert data["model_type"] == "diffusion_policy" and diffusion_config_from_dict(data) == config


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model_type": "gr00t_n1"}, "model_type is 'gr00t_n1'"),
        ({"wings": 2}, "unknown key.s. wings"),
        ({"views": 2}, "head.cross_dim is 16"),
        ({"schedule": {"sample_steps": 101}}, "sample_steps is 101"),
        ({"crop_fraction": 0.1}, "crop_fraction"),
    ],
)
def test_a_wrong_configuration_is_refused_by_name(change, named):
    with pytest.raises(ConfigError, match=named):
        diffusion_config_from_dict({**diffusion_config_to_dict(small_diffusion_config()), **change})


def test_a_horizon_that_cannot_be_halved_is_refused():
    with pytest.raises(ConfigError, match="horizon 16 must be a multiple of 32"):
        replace(diffusion_config(58, 29).head, levels=6)
