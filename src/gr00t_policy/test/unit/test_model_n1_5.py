# SPDX-License-Identifier: Apache-2.0
"""GR00T N1.5 has its published tensors, computes what its description says, and runs by halves like N1."""

import json
from contextlib import suppress
from dataclasses import replace
from functools import cache
from math import prod
from pathlib import Path

import numpy as np
import pytest
import reference_n1_5 as reference
import reference_network as n1_reference
import torch
from safetensors.torch import load_file, save_file
from test_model_weights import expected_n1_shapes

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import CheckpointError, ConfigError, Gr00tError
from gr00t_policy.core.projectors import projector_index
from gr00t_policy.model.action_head import ActionHead
from gr00t_policy.model.backbone import Backbone
from gr00t_policy.model.config import HeadConfig, ModelConfig, preset
from gr00t_policy.model.golden import read_golden
from gr00t_policy.model.golden_config import declared
from gr00t_policy.model.parity import OutputError, build_network, compare
from gr00t_policy.model.random_checkpoint import RandomCheckpoint, random_checkpoint
from gr00t_policy.model.release_forms import idle_shapes
from gr00t_policy.model.synthesis import synthesise_release
from gr00t_policy.model.timed_paths import parameters_read, plain_sample
from gr00t_policy.model.vla import Vla, build_vla, empty_vla
from gr00t_policy.model.weight_files import open_weight_files
from gr00t_policy.model.weights import load_part, load_weights, our_name, published_name, published_shapes, save_weights
from gr00t_policy.runtime.folded_head import FoldedContext, FoldedHead
from gr00t_policy.runtime.graph_backend import GraphBackend
from gr00t_policy.runtime.torch_backend import TorchBackend

torch.set_num_threads(1)
TINY = preset("n1_5_tiny_release")
LM_HEAD = "backbone.eagle_model.language_model.lm_head.weight"
PROBE = "backbone.eagle_model.vision_model.vision_model.head.probe"
OUTPUTS = ["image_embeddings", "features", "features_last_sample_unpadded", "actions", "train_loss"]


def meta(name: str) -> Vla:
    with torch.device("meta"):
        return Vla(preset(name))


@cache
def network() -> RandomCheckpoint:
    return random_checkpoint("n1_5_tiny_release")


def small_head(**changes: int | bool) -> ActionHead:
    """Of a few numbers, with everything that N1.5 has more."""
    sizes = HeadConfig(
        width=32, hidden=24, layers=3, heads=4, head_dim=8, state_dim=10, action_dim=6, horizon=5, embodiments=2,
        cross_dim=20, attend_padding=True, future_tokens=3, mixer_layers=2, mixer_heads=5, mixer_head_dim=4, fan_in_init=True,
    )  # fmt: skip
    torch.manual_seed(0)
    return ActionHead(replace(sizes, **changes)).eval()


def head_inputs(rows: int = 2, tokens: int = 9) -> tuple[torch.Tensor, ...]:
    """features, mask, state, embodiment_id, noise."""
    g = torch.Generator().manual_seed(1)
    features, state, noise = (torch.randn(rows, *size, generator=g) for size in ((tokens, 20), (1, 10), (5, 6)))
    return features, torch.ones(rows, tokens), state, torch.tensor([1]), noise


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """The published table of GR00T-N1.5-3B's tensors, where it differs from N1's."""
    eagle = "backbone.eagle_model"
    elsewhere = ("backbone.model.language_model.", "backbone.model.mlp1.", "backbone.linear.")
    shapes = {
        key.replace("backbone.model.", f"{eagle}."): shape
        for key, shape in expected_n1_shapes().items()
        if not key.startswith(elsewhere)
    }

    def layer(name: str, width_out: int, *width_in: int) -> None:
        shapes.update({f"{name}.weight": (width_out, *width_in), f"{name}.bias": (width_out,)})

    pooling, language, mixer = (
        f"{eagle}.vision_model.vision_model.head",
        f"{eagle}.language_model.model",
        "action_head.vl_self_attention.transformer_blocks",
    )
    shapes[f"{pooling}.probe"] = (1, 1, 1152)
    shapes |= {f"{pooling}.attention.in_proj_weight": (3456, 1152), f"{pooling}.attention.in_proj_bias": (3456,)}
    layer(f"{pooling}.attention.out_proj", 1152, 1152)
    layer(f"{pooling}.layernorm", 1152)
    layer(f"{pooling}.mlp.fc1", 4304, 1152)
    layer(f"{pooling}.mlp.fc2", 1152, 4304)
    shapes |= {f"{language}.embed_tokens.weight": (151680, 2048), LM_HEAD: (151680, 2048)}
    shapes[f"{language}.norm.weight"] = (2048,)
    for i in range(12):
        block = f"{language}.layers.{i}"
        shapes |= {f"{block}.self_attn.{part}_proj.weight": (2048, 2048) for part in "qo"}
        shapes |= {f"{block}.self_attn.{part}_proj.weight": (1024, 2048) for part in "kv"}
        shapes |= {f"{block}.self_attn.{part}_norm.weight": (128,) for part in "qk"}
        shapes |= {f"{block}.mlp.{part}_proj.weight": (6144, 2048) for part in ("gate", "up")}
        shapes[f"{block}.mlp.down_proj.weight"] = (2048, 6144)
        shapes |= {f"{block}.{part}_layernorm.weight": (2048,) for part in ("input", "post_attention")}
    layer(f"{eagle}.mlp1.0", 2048, 1152)
    for i in range(0, 16, 2):
        for part in ("to_k", "to_v"):
            layer(f"action_head.model.transformer_blocks.{i}.attn1.{part}", 1536, 2048)
    shapes["action_head.future_tokens.weight"] = (32, 1536)
    layer("action_head.vlln", 2048)
    for i in range(4):
        for part in ("to_q", "to_k", "to_v", "to_out.0"):
            layer(f"{mixer}.{i}.attn1.{part}", 2048, 2048)
        layer(f"{mixer}.{i}.norm1", 2048)
        layer(f"{mixer}.{i}.norm3", 2048)
        layer(f"{mixer}.{i}.ff.net.0.proj", 8192, 2048)
        layer(f"{mixer}.{i}.ff.net.2", 2048, 8192)
    return shapes


def test_n1_5_3b_has_exactly_the_published_tensors() -> None:
    expected, idle = expected_shapes(), idle_shapes(preset("n1_5_3b"))
    assert len(expected) == 899
    ours = published_shapes(meta("n1_5_3b"))
    assert ours | idle == expected and not set(ours) & set(idle)
    assert sum(map(prod, expected.values())) == 2_724_163_520
    assert sum(map(prod, expected.values())) - prod(expected[LM_HEAD]) == 2_413_522_880


def test_every_module_of_n1_5_3b_has_the_published_number_of_parameters() -> None:
    model = meta("n1_5_3b")
    published = {
        "backbone.connector": 2_361_344,
        "backbone.language": 914_674_688,
        "backbone.linear": 0,
        "head.dit": 550_386_688,
        "head.mixer.blocks": 201_433_088,
        "head.mixer.norm": 4_096,
        "head.state_encoder": 52_510_720,
        "head.action_encoder": 228_212_736,
        "head.action_decoder": 34_636_800,
        "head.position_embedding": 1_572_864,
        "head.future_tokens": 49_152,
        "head": 1_068_806_144,
    }
    counted = {name: sum(p.numel() for p in model.get_submodule(name).parameters()) for name in published}
    assert counted == published
    pooling = sum(prod(shape) for key, shape in idle_shapes(model.config).items() if key != LM_HEAD)
    tower, whole = (sum(p.numel() for p in part.parameters()) for part in (model.backbone.vision, model.backbone))
    assert (pooling, tower + pooling, whole + pooling) == (15_238_352, 427_680_704, 1_344_716_736)


def test_names_translate_there_and_back_without_collision() -> None:
    ours = list(meta("n1_5_tiny_release").state_dict())
    published = [published_name(key, n1_5=True) for key in ours]
    assert len(set(published)) == len(ours)
    assert [our_name(key) for key in published] == ours


def errors_of(path: Path) -> list[OutputError]:
    file = read_golden(path)
    return compare(file, build_network(file))


@pytest.mark.parametrize("views", [1, 2])
def test_the_network_is_the_one_that_is_described(tmp_path: Path, views: int) -> None:
    """A file of N1.5's form, written by a second implementation of the description, passes the parity check."""
    path = tmp_path / "n1_5.safetensors"
    tensors = reference.write_golden(path, views=views)
    errors = errors_of(path)
    assert [error.output for error in errors] == OUTPUTS
    assert all(error.within(1e-5) for error in errors), errors
    given = {"in.vl_features": tensors["out.features"], "weights." + PROBE: torch.zeros(1, 1, 24)}
    n1_reference.save(path, tensors | given, reference.METADATA)
    assert errors_of(path)[-1].output == "actions from our features"


@pytest.mark.parametrize(
    "weight",
    [
        "backbone.eagle_model.mlp1.0.weight",
        "backbone.eagle_model.language_model.model.layers.1.self_attn.k_norm.weight",
        "action_head.vlln.bias",
        "action_head.vl_self_attention.transformer_blocks.2.norm3.weight",
        "action_head.future_tokens.weight",
        "action_head.model.transformer_blocks.0.attn1.to_k.weight",
    ],
)
def test_one_wrong_value_in_what_n1_has_not_shows(tmp_path: Path, weight: str) -> None:
    path = tmp_path / "n1_5.safetensors"
    tensors = reference.write_golden(path)
    wrong = tensors[f"weights.{weight}"]
    wrong[(1, 0)[: wrong.ndim]] += 0.2
    n1_reference.save(path, tensors, reference.METADATA)
    assert not all(error.within() for error in errors_of(path))


@pytest.mark.parametrize(
    ("place", "changes", "says"),
    [
        ("", {"mlp_connector_layers": 2}, "'mlp_connector_layers' is 2; this network has 1"),
        ("", {"use_pixel_shuffle": True}, "'use_pixel_shuffle' is True"),
        ("", {"project_to_dim": 28}, "features of System 2 are 28 wide, not the 32"),
        ("", {"llm_config": {}}, "one language model"),
        ("text_config", {"use_sliding_window": True}, "use_sliding_window"),
        ("text_config", {"head_dim": 7}, "head_dim must be even"),
        ("action_head_cfg", {"backbone_embedding_dim": 28}, "'backbone_embedding_dim' is 28; this network has 32"),
        ("action_head_cfg", {"use_vlln": False}, "unexpected: action_head.future_tokens.weight"),
        ("action_head_cfg", {"vl_self_attention_cfg": {"num_layers": 3}}, "mixer_head_dim is 2048, not head.cross_dim 32"),
        ("action_head_cfg", {"num_target_vision_tokens": 8}, r"future_tokens.weight \(9, 28\) instead of \(8, 28\)"),
    ],
)  # fmt: skip
def test_a_file_of_n1_5_that_cannot_be_used_says_why(tmp_path: Path, place: str, changes: dict, says: str) -> None:
    path = tmp_path / "n1_5.safetensors"
    tensors = reference.write_golden(path)
    changed = reference.METADATA | ({place: reference.METADATA[place] | changes} if place else changes)
    n1_reference.save(path, tensors, changed)
    with pytest.raises((CheckpointError, ConfigError), match=says):
        errors_of(path)


def test_any_value_anywhere_in_the_metadata_is_read_or_refused_by_name() -> None:
    odd = (None, True, -1, 0, 3, 1e300, "x", [], {}, {"num_layers": "two"})
    places = [(key,) for key in reference.METADATA]
    for key, value in reference.METADATA.items():
        places += [(key, field) for field in value] if isinstance(value, dict) else []
    for *path, last in places:
        for value in odd:
            changed = json.loads(json.dumps(reference.METADATA))
            (changed[path[0]] if path else changed)[last] = value
            with suppress(Gr00tError):
                declared({key: json.dumps(part) for key, part in changed.items()})


def test_weights_come_back_exactly_and_keep_the_published_names(tmp_path: Path) -> None:
    path, model, other = tmp_path / "model.safetensors", build_vla(TINY, seed=0), build_vla(TINY, seed=1)
    save_weights(model, path)
    assert {key.split(".")[1] for key in load_file(path) if key.startswith("backbone.")} == {"eagle_model"}
    load_weights(other, path)
    for (name, a), b in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the released form without a tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "n1_5"
    synthesise_release(folder, TINY, load_embodiment("gr1"), dtype="bfloat16", shards=2)
    return folder


def test_halves_are_those_of_the_whole_and_what_nothing_computes_with_stays_in_the_file(released: Path) -> None:
    files, whole = open_weight_files(released), empty_vla(TINY)
    assert {LM_HEAD, PROBE} < set(files.shapes)
    load_weights(whole, files)
    backbone = load_part(lambda: Backbone(TINY), files, "backbone.", dtype="float32", device="cpu")
    head = load_part(lambda: ActionHead(TINY.head), files, "head.", dtype="float32", device="cpu")
    for half, loaded in ((whole.backbone, backbone), (whole.head, head)):
        for (name, a), (other, b) in zip(half.named_parameters(), loaded.named_parameters(), strict=True):
            assert name == other and torch.equal(a, b), name
    assert (
        head.mixer is not None and head.mixer.norm.weight.mean() > 0.9
    )  # the tokens are mixed by the controller's half


def test_what_nothing_computes_with_may_be_missing_or_broken_but_not_of_another_shape(tmp_path: Path) -> None:
    path, model = tmp_path / "model.safetensors", build_vla(TINY, seed=0)
    save_weights(model, path)
    tensors = load_file(path)
    save_file(tensors | {PROBE: torch.full((1, 1, 32), torch.nan)}, path)
    load_weights(model, path)
    save_file(tensors | {PROBE: torch.zeros(1, 1, 31)}, path)
    with pytest.raises(CheckpointError, match=r"head\.probe \(1, 1, 31\) instead of \(1, 1, 32\)"):
        load_weights(model, path)
    n1 = build_vla(preset("n1_tiny_release"), seed=0)
    with pytest.raises(
        CheckpointError, match="(?s)missing: backbone.linear.bias.*unexpected: action_head.future_tokens"
    ):
        load_weights(n1, path)


def test_encode_and_act_are_deterministic_finite_and_differ_by_input() -> None:
    checkpoint = network()
    backend, rng = TorchBackend(checkpoint, None, "float32", "cpu"), np.random.default_rng(0)
    prompt, sizes = checkpoint.prompt.encode("pick up the cup"), checkpoint.config.head
    ids, mask = prompt.input_ids[None], prompt.attention_mask[None]
    pictures = rng.uniform(-1, 1, (2, 1, 1, 3, 224, 224)).astype(np.float32)
    noise = rng.normal(size=(sizes.horizon, sizes.action_dim)).astype(np.float32)
    state = rng.normal(size=(1, sizes.state_dim)).astype(np.float32)
    features = [backend.encode(pixels, ids, mask) for pixels in (*pictures, pictures[0])]
    assert features[0].shape == (ids.shape[1], TINY.language.width) and (ids == 151669).sum() == 256
    actions = [backend.act(backend.context(one, mask[0] > 0), state, noise) for one in features]
    for first, second, again in (features, actions):
        assert np.array_equal(first, again) and not np.array_equal(first, second)
        assert 1e-3 < first.std() < 1e2


def test_of_the_head_one_kept_slot_acts_as_all_of_them() -> None:
    checkpoint = network()
    assert checkpoint.slot == projector_index("n1.5", "gr1") == 24
    whole, alone = checkpoint.load_head(every_slot=True), checkpoint.load_head()
    features, mask, state, noise = (
        torch.randn(1, *size, generator=torch.Generator().manual_seed(0)) for size in ((7, 16), (7,), (1, 64), (16, 32))
    )
    with torch.no_grad():
        expected = whole.sample(features, mask, state, torch.tensor([24]), noise)
        assert torch.equal(alone.sample(features, mask, state, torch.tensor([0]), noise), expected)


def test_padding_is_looked_at_as_published_unless_it_is_hidden() -> None:
    features, mask, *given = head_inputs()
    padded, hidden = torch.cat([features, torch.ones(2, 4, 20)], dim=1), torch.cat([mask, torch.zeros(2, 4)], dim=1)
    head, modest = small_head(), small_head(attend_padding=False)
    tables = head.time_tables(given[1])
    with torch.no_grad():
        wanted = head.sample(features, mask, *given)
        assert not torch.allclose(head.sample(padded, hidden, *given), wanted, atol=1e-3)
        assert torch.allclose(modest.sample(padded, hidden, *given), wanted, atol=1e-5)
        context = head.precompute_context(padded, hidden, masked=True)
        assert torch.allclose(head.sample_with_context(context, *given, tables), wanted, atol=1e-5)


def test_the_loss_is_that_of_the_velocity_and_reaches_every_weight_that_is_used() -> None:
    head = small_head()
    features, mask, state, slot, noise = head_inputs()
    actions, t = torch.randn(noise.shape, generator=torch.Generator().manual_seed(2)), torch.tensor([0.2, 0.7])
    loss = head.forward_loss(features, mask, state, slot, actions, torch.ones_like(noise), noise, t)
    loss.mean.backward()
    without = [name for name, value in head.named_parameters() if value.grad is None or not value.grad.abs().sum()]
    # A key's bias adds the same to all scores of a query.
    assert [name for name in without if not name.endswith("attention.key.bias")] == []


def test_graphs_and_the_plain_way_give_the_actions_of_the_network() -> None:
    head = small_head()
    features, mask, state, slot, noise = (value[:1] for value in head_inputs())
    padded, hidden = torch.cat([features, torch.ones(1, 4, 20)], dim=1), torch.cat([mask, torch.zeros(1, 4)], dim=1)
    known = torch.zeros_like(noise), torch.zeros(1, 5, 1)
    with torch.no_grad():
        wanted = head.sample(features, mask, state, slot, noise)
        assert torch.allclose(plain_sample(head, features, mask, state, slot, noise), wanted, atol=1e-5)
        kept = FoldedContext(head, masked=True)(padded, hidden)
        assert torch.allclose(FoldedHead(head, 1)(state, noise, *known, *kept), wanted, atol=1e-5)


def test_padded_prompts_of_fixed_graphs_give_the_same() -> None:
    """Both halves pass their own start check against the plain network."""
    backend = GraphBackend(network(), None, "float32", "cpu", capture=False)
    assert all(check.passed for check in backend.report.checks)


def test_the_work_of_a_message_counts_the_mixing_once() -> None:
    plain, cached = (parameters_read(preset("n1_5_3b"), 296, cached=kept) for kept in (False, True))
    mixer, per_block = 201_433_088 + 4_096, 2 * (2048 * 1536 + 1536)
    assert cached["context"] == mixer + 8 * per_block
    assert plain["act, chunk"] - 4 * plain["act, step"] == mixer + 52_510_720 // 32 + 49_152


def test_a_configuration_that_contradicts_itself_is_refused() -> None:
    for changes, says in (
        ({"projected": True, "connector_layers": 3}, "connector_layers must be 1 or 2"),
        ({"head": replace(TINY.head, cross_dim=24, mixer_head_dim=12)}, "as wide as the language model, 16"),
        ({"text_first": True}, "published eagle2_5 prompt has the image first"),
    ):
        with pytest.raises(ConfigError, match=says):
            replace(TINY, **changes)
    with pytest.raises(ConfigError, match=r"mixer_head_dim is 18, not head\.cross_dim 16"):
        replace(TINY.head, mixer_head_dim=9)
    with pytest.raises(ConfigError, match="shuffle must be 1 or 2"):
        replace(TINY.vision, shuffle=3)
    with pytest.raises(ConfigError, match="family 'gpt' is unknown; choose one of: llama, qwen3"):
        replace(TINY.language, family="gpt")
    assert isinstance(TINY, ModelConfig) and TINY.published and TINY.vision.tokens == 256
