# SPDX-License-Identifier: Apache-2.0
"""Per-embodiment layers pick the right slot; the two sinusoids have the published values."""

import torch

from gr00t_policy.model.layers import (
    ActionEncoder,
    CategorySpecificLinear,
    CategorySpecificMLP,
    cosine_first_sinusoid,
    sine_first_sinusoid,
)

torch.set_num_threads(1)


def test_the_dit_sinusoid_has_the_published_values_at_bucket_250() -> None:
    values = cosine_first_sinusoid(torch.tensor([250]), 256)[0]
    expected = {0: 0.2410, 1: 0.9994, 2: -0.8658, 127: 0.9997, 128: -0.9705, 255: 0.0250}
    for index, value in expected.items():
        assert abs(values[index].item() - value) < 1e-4, index


def test_the_action_sinusoid_has_the_published_values() -> None:
    values = sine_first_sinusoid(torch.tensor([250, 500, 750]), 1536)
    expected = [(0, 0, -0.97053), (0, 1, 0.91921), (0, 768, 0.24099), (0, 769, -0.39378), (1, 0, -0.46777)]
    expected += [(1, 768, -0.88385), (2, 0, 0.74507), (2, 768, -0.66698)]
    for row, index, value in expected:
        assert abs(values[row, index].item() - value) < 1e-4, (row, index)


def test_a_sample_is_multiplied_by_the_matrix_of_its_embodiment() -> None:
    layer = CategorySpecificLinear(3, 4, 5)
    torch.nn.init.normal_(layer.b)
    x, ids = torch.randn(3, 2, 4), torch.tensor([2, 0, 2])
    result = layer(x, ids)
    for row, slot in enumerate(ids.tolist()):
        assert torch.allclose(result[row], x[row] @ layer.W[slot] + layer.b[slot], atol=1e-6)


def test_one_id_for_all_samples_gives_the_same_as_repeating_it() -> None:
    torch.manual_seed(0)
    encoder, mlp = ActionEncoder(4, 6, 16), CategorySpecificMLP(4, 6, 8, 16)
    x, one, many = torch.randn(5, 3, 6), torch.tensor([2]), torch.full((5,), 2)
    buckets = torch.tensor([0, 10, 500, 750, 999])
    assert torch.allclose(mlp(x, one), mlp(x, many), atol=1e-6)
    assert torch.allclose(encoder.time_part(buckets, one), encoder.time_part(buckets, many), atol=1e-6)
    shared, repeated = (encoder(x, ids, encoder.time_part(buckets, ids)) for ids in (one, many))
    assert torch.allclose(shared, repeated, atol=1e-6)


def test_the_separated_time_part_equals_the_published_concatenation() -> None:
    torch.manual_seed(0)
    encoder = ActionEncoder(2, 6, 16)
    x, ids, buckets = torch.randn(3, 4, 6), torch.tensor([1, 0, 1]), torch.tensor([0, 250, 999])
    tau = sine_first_sinusoid(buckets, 16)[:, None].expand(-1, 4, -1)
    together = torch.cat([encoder.W1(x, ids), tau], dim=-1)
    expected = encoder.W3(torch.nn.functional.silu(encoder.W2(together, ids)), ids)
    assert torch.allclose(encoder(x, ids, encoder.time_part(buckets, ids)), expected, atol=1e-6)


def test_training_one_embodiment_leaves_the_weights_of_the_others_untouched() -> None:
    mlp = CategorySpecificMLP(3, 4, 8, 2)
    mlp(torch.randn(2, 1, 4), torch.tensor([1])).sum().backward()
    gradient = mlp.layer1.W.grad
    assert gradient is not None and gradient[1].abs().sum() > 0
    assert gradient[0].abs().sum() == 0 and gradient[2].abs().sum() == 0
