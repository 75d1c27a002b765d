# SPDX-License-Identifier: Apache-2.0
"""Random weights of a preset are one network, whatever part of it is loaded where, with prompts of the published length."""

import pytest
import torch

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.random_checkpoint import random_checkpoint
from gr00t_policy.runtime.start_check import reference_answers
from gr00t_policy.runtime.torch_backend import TorchBackend

torch.set_num_threads(1)


def test_parts_are_those_of_the_whole_network_in_the_format_asked_for() -> None:
    checkpoint = random_checkpoint("tiny")
    whole = checkpoint.load_weights()
    backbone, head = checkpoint.load_backbone("bfloat16"), checkpoint.load_head("bfloat16")
    for name, value in backbone.named_parameters():
        assert torch.equal(value, whole.backbone.get_parameter(name).bfloat16())
    kept, every = dict(head.named_parameters()), dict(whole.head.named_parameters())
    for name, value in kept.items():
        stored = every[name][checkpoint.slot : checkpoint.slot + 1] if name.endswith((".W", ".b")) else every[name]
        assert torch.equal(value, stored.bfloat16())
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("name", ["tiny", "n1_tiny_release"])
def test_answers_are_finite_differ_by_input_and_stay_within_orders_of_magnitude(name: str) -> None:
    checkpoint = random_checkpoint(name, 2)
    answers = reference_answers(checkpoint, TorchBackend(checkpoint, None, "float32", "cpu"))
    assert answers.pixel_values.shape[1] == 2
    for got in (answers.features, answers.actions):
        assert 1e-3 < got.std() < 1e2 and (got[0] != got[1]).any()


def test_prompts_are_as_long_as_the_published_tokenizer_makes_them() -> None:
    """By the public tokenizer: 99 tokens with these 12 words, 168 with 4 words and two pictures."""
    prompt = random_checkpoint("n1_2b").prompt
    for sentence, views, tokens in (
        ("pick the pear from the counter and place it in the plate", 1, 99),
        ("pick up the cup", 2, 168),
    ):
        ids = prompt.encode(sentence, views).input_ids
        assert len(ids) == tokens and (ids == 49154).sum() == 64 * views


def test_a_robot_without_cameras_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1 camera, got 0"):
        random_checkpoint("tiny", 0)
