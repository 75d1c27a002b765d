# SPDX-License-Identifier: Apache-2.0
"""Laws of the auxiliary localisation: labels whose mean is the target, a readout that finds it, masks that hide."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gr00t_policy.model.localiser import Localiser, bilinear_weights, token_centres

torch.set_num_threads(1)
IMAGE = torch.tensor([[0] * 3 + [1] * 16 + [0]], dtype=torch.bool)
INDEX = (IMAGE.long().cumsum(1) - 1).clamp(0, 15)


@given(u=st.floats(-0.75, 0.75), v=st.floats(-0.75, 0.75))
@settings(max_examples=50, deadline=None)
def test_bilinear_labels_are_a_distribution_whose_mean_is_the_target(u: float, v: float) -> None:
    target = torch.tensor([u, v], dtype=torch.float64)
    weights = bilinear_weights(target, 4)
    assert (weights >= 0).all() and (weights > 0).sum() <= 4
    assert torch.allclose(weights.sum(), torch.ones((), dtype=torch.float64))
    assert torch.allclose(weights @ token_centres(4, torch.float64, torch.device("cpu")), target, atol=1e-9)


def test_token_centres_run_row_by_row_from_the_upper_left() -> None:
    centres = token_centres(4, torch.float32, torch.device("cpu"))
    assert centres[0].tolist() == [-0.75, -0.75]
    assert centres[1].tolist() == [-0.25, -0.75]
    assert centres[15].tolist() == [0.75, 0.75]


def test_a_localiser_learns_to_point_at_marked_tokens() -> None:
    torch.manual_seed(0)
    localiser = Localiser(8, points=2, token_grid=4)
    rows, generator = 64, torch.Generator().manual_seed(0)
    target = torch.rand(rows, 4, generator=generator) * 1.4 - 0.7
    features = torch.randn(rows, 20, 8, generator=generator) * 0.1
    for point in range(2):
        features[:, 3:19, point] += bilinear_weights(target[:, 2 * point : 2 * point + 2], 4) * 3
    optimizer = torch.optim.Adam(localiser.parameters(), 0.05)
    for _ in range(150):
        loss, distance = localiser.loss(
            features, IMAGE.expand(rows, -1), INDEX.expand(rows, -1), target, torch.ones(rows, 4)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert distance < 0.15  # tokens are 0.5 apart


def test_tokens_that_are_not_of_the_first_image_have_no_say() -> None:
    localiser = Localiser(8, points=1, token_grid=4)
    two_views = torch.tensor([[0] + [1] * 16 + [0] + [1] * 16], dtype=torch.bool)
    index = (two_views.long().cumsum(1) - 1).clamp(0, 31)
    features = torch.randn(1, 34, 8)
    spoiled = features.clone()
    spoiled[:, [0, 17, *range(18, 34)]] = 50.0
    assert torch.allclose(localiser(features, two_views, index)[0], localiser(spoiled, two_views, index)[0], atol=1e-6)


def test_an_unknown_target_adds_nothing_to_the_loss() -> None:
    localiser = Localiser(8, points=2, token_grid=4)
    features, target, mask = torch.randn(2, 20, 8), torch.zeros(2, 4), torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0]])
    images, index = IMAGE.expand(2, -1), INDEX.expand(2, -1)
    other = target + torch.tensor([[0, 0, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5]])
    assert torch.equal(
        localiser.loss(features, images, index, target, mask)[0],
        localiser.loss(features, images, index, other, mask)[0],
    )
    loss, distance = localiser.loss(features, images, index, target, torch.zeros(2, 4))
    assert loss == 0 and distance == 0
