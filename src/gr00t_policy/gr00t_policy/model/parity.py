# SPDX-License-Identifier: Apache-2.0
"""Our network against the reference outputs of another implementation: built as their file declares, run on its inputs.

Everything in float32, in evaluation mode, on the CPU, through the same classes that run the robot.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from gr00t_policy.core.errors import CheckpointError, ConfigError
from gr00t_policy.model.action_head import ActionHead
from gr00t_policy.model.backbone import Backbone
from gr00t_policy.model.config import HeadConfig, ModelConfig
from gr00t_policy.model.golden import Golden
from gr00t_policy.model.weights import check_shapes, load_tensors, shapes_to_find

TOLERANCE = 1e-4
_ENCODED = ("pixel_values", "input_ids", "attention_mask")
_ACTED = ("state", "embodiment_id", "noise")
_TRAINED = (*_ACTED, "train_actions", "train_action_mask", "train_t")
# output -> the half that computes it and the inputs that it needs; System 1 also needs features: given, or from System 2
_NEEDS = {
    "image_embeddings": ("System 2", ("pixel_values",)),
    "features": ("System 2", _ENCODED),
    "features_last_sample_unpadded": ("System 2", _ENCODED),
    "actions": ("System 1", _ACTED),
    "train_loss": ("System 1", _TRAINED),
}
# N images, B prompts of S tokens; F tokens of features for R samples of actions.
_SHAPES: dict[str, tuple[str | int, ...]] = {
    "pixel_values": ("N", 3, "image", "image"),
    "input_ids": ("B", "S"),
    "attention_mask": ("B", "S"),
    "vl_features": ("R", "F", "cross"),
    "state": ("R", 1, "state"),
    "embodiment_id": ("R",),
    "noise": ("R", "horizon", "action"),
    "train_actions": ("R", "horizon", "action"),
    "train_action_mask": ("R", "horizon", "action"),
    "train_t": ("R",),
}
_INTEGERS = ("input_ids", "embodiment_id")
_Part = TypeVar("_Part", bound=nn.Module)


@dataclass(frozen=True)
class OutputError:
    """How far our output is from the reference: largest difference, and that over the reference's largest magnitude."""

    output: str
    shape: tuple[int, ...]
    max_absolute: float
    max_relative: float

    def within(self, tolerance: float = TOLERANCE) -> bool:
        """Both errors are below the tolerance: the absolute one is the stricter for outputs above 1, the other below."""
        return self.max_absolute < tolerance and self.max_relative < tolerance


@dataclass(frozen=True)
class Network:
    """The halves that a file declares, with its weights."""

    backbone: Backbone | None
    head: ActionHead | None

    @property
    def parameters(self) -> int:
        parts = (part for part in (self.backbone, self.head) if part is not None)
        return sum(value.numel() for part in parts for value in part.parameters())


def build_network(golden: Golden) -> Network:
    """Our network of the declared configuration with the file's weights, in evaluation mode.

    Raises CheckpointError naming weights that are missing, unexpected or of another shape; ConfigError for sizes that
    cannot be built.
    """
    declared, backbone, head = golden.declared, None, None
    of_backbone = {
        key: value
        for key, value in golden.weights.items()
        if declared.backbone is not None and (key.startswith("backbone.") or declared.head is None)
    }
    of_head = {key: value for key, value in golden.weights.items() if key not in of_backbone}
    if (config := declared.backbone) is not None:
        _check_layers(golden, config.vision.layers + config.select_layer)
        backbone = _loaded(lambda: Backbone(config), of_backbone, "backbone.", golden)
        for module in backbone.vision.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = declared.vision_eps
    if (sizes := declared.head) is not None:
        _check_layers(golden, sizes.layers)
        head = _loaded(lambda: ActionHead(sizes), of_head, "head.", golden)
    return Network(backbone, head)


def compare(golden: Golden, network: Network) -> list[OutputError]:
    """One line per output of the file. Raises CheckpointError when inputs are missing or do not fit the configuration, or
    when nothing here computes an output."""
    _check_inputs(golden)
    errors = []
    for label, output, ours in _computed(golden, network):
        reference = golden.outputs[output]
        if reference.shape != ours.shape and (ours.ndim or reference.numel() != 1):
            raise CheckpointError(
                f"{golden.path}: out.{output} has shape {tuple(reference.shape)}; the declared configuration and inputs "
                f"give {tuple(ours.shape)}"
            )
        # What stands at padded places is nobody's business.
        rows = golden.inputs["attention_mask"].bool() if output == "features" else None
        errors.append(_error(label, ours.reshape(reference.shape), reference, rows))
    return errors


def _error(name: str, ours: Tensor, reference: Tensor, rows: Tensor | None) -> OutputError:
    shape = tuple(reference.shape)
    if rows is not None:
        ours, reference = ours[rows], reference[rows]
    absolute = float((ours.double() - reference.double()).abs().max())
    scale = float(reference.abs().max())
    return OutputError(name, shape, absolute, absolute / scale if scale else absolute)


@torch.inference_mode()
def _computed(golden: Golden, network: Network) -> list[tuple[str, str, Tensor]]:
    """(label, output, ours) of every output in the file. Actions both ways, from the given features and from ours, where
    the file gives the features that it expects of System 2."""
    t, wanted = golden.inputs, golden.outputs
    ours: list[tuple[str, str, Tensor]] = []
    features = None
    if network.backbone is not None:
        if "image_embeddings" in wanted:
            ours.append(("image_embeddings", "image_embeddings", network.backbone.image_embeddings(t["pixel_values"])))
        if all(name in t for name in _ENCODED):
            features = _encode(network.backbone, *(t[name] for name in _ENCODED))
        if "features" in wanted and features is not None:
            ours.append(("features", "features", features))
        if (name := "features_last_sample_unpadded") in wanted:
            ours.append((name, name, _encode_last_unpadded(golden, network.backbone)))
    given = t.get("vl_features", features)
    if network.head is not None and given is not None:
        if "actions" in wanted:
            ours.append(("actions", "actions", _act(network.head, given, t)))
        if "train_loss" in wanted:
            ours.append(("train_loss", "train_loss", _train_loss(network.head, given, t)))
        if "actions" in wanted and features is not None and _same(t.get("vl_features"), wanted.get("features")):
            ours.append(("actions from our features", "actions", _act(network.head, features, t)))
    return ours


def _encode(backbone: Backbone, pixels: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """pixels (B * V, 3, H, W), V images per prompt, in order."""
    return backbone(pixels.unflatten(0, (len(ids), -1)), ids, mask)


def _encode_last_unpadded(golden: Golden, backbone: Backbone) -> Tensor:
    pixels, ids, mask = (golden.inputs[name] for name in _ENCODED)
    real = mask[-1].bool()
    alone = ids[-1:, real]
    return _encode(backbone, pixels[-(len(pixels) // len(ids)) :], alone, torch.ones_like(alone))


def _act(head: ActionHead, features: Tensor, t: Mapping[str, Tensor]) -> Tensor:
    return head.sample(features, _all_seen(features), t["state"], t["embodiment_id"], t["noise"])


def _train_loss(head: ActionHead, features: Tensor, t: Mapping[str, Tensor]) -> Tensor:
    names = ("state", "embodiment_id", "train_actions", "train_action_mask", "noise", "train_t")
    return head.forward_loss(features, _all_seen(features), *(t[name] for name in names)).mean


def _all_seen(features: Tensor) -> Tensor:
    """The published head sees every position of the features, padding too."""
    return torch.ones(features.shape[:2])


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    return one is not None and other is not None and torch.equal(one, other)


def _loaded(build: Callable[[], _Part], weights: Mapping[str, Tensor], prefix: str, golden: Golden) -> _Part:
    """Shapes are compared before any memory is taken: a wrong size in the metadata must not fill the machine."""
    try:
        with torch.device("meta"):
            expected = shapes_to_find(build(), weights, prefix)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"{golden.path}: a network of the declared sizes cannot be built: {error}") from error
    check_shapes({key: tuple(value.shape) for key, value in weights.items()}, expected, str(golden.path))
    with torch.random.fork_rng(devices=[]):
        part = build()
    load_tensors(part, weights, prefix)
    return part.eval()


def _check_layers(golden: Golden, layers: int) -> None:
    if layers > len(golden.weights):
        raise CheckpointError(
            f"{golden.path} declares {layers} layers but holds only {len(golden.weights)} tensors of weights"
        )


def _check_inputs(golden: Golden) -> None:
    """Everything that the outputs need is there, of the declared sizes, and points to what exists."""
    t, where, declared = golden.inputs, golden.path, golden.declared
    for output in golden.outputs:
        if output not in _NEEDS:
            raise CheckpointError(f"{where}: nothing here computes out.{output}; known: {', '.join(_NEEDS)}")
        half, needed = _NEEDS[output]
        if (declared.backbone if half == "System 2" else declared.head) is None:
            raise CheckpointError(f"{where}: out.{output} needs {half}, which the metadata does not declare")
        if half == "System 1" and "vl_features" not in t:
            needed = (*needed, *(_ENCODED if declared.backbone is not None else ("vl_features",)))
        if missing := [f"in.{name}" for name in needed if name not in t]:
            raise CheckpointError(f"{where}: out.{output} needs {', '.join(missing)}, which the file does not hold")
    sizes = _sizes(declared.head, declared.backbone)
    if "vl_features" not in t and declared.backbone is not None and declared.head is not None and "input_ids" in t:
        sizes["R"] = len(t["input_ids"])
    for name, spec in _SHAPES.items():
        if name in t:
            _check_shape(golden, name, spec, sizes)
    for name in _INTEGERS:
        if name in t and t[name].is_floating_point():
            raise CheckpointError(f"{where}: in.{name} holds floating numbers; expected integers")
    if declared.backbone is not None and "input_ids" in t:
        _check_prompts(golden, declared.backbone)
    if declared.head is not None and "embodiment_id" in t:
        _check_range(golden, "embodiment_id", declared.head.embodiments)


def _sizes(head: HeadConfig | None, backbone: ModelConfig | None) -> dict[str, int]:
    sizes = {} if backbone is None else {"image": backbone.vision.image_size}
    if head is not None:
        sizes |= {"cross": head.cross_dim, "state": head.state_dim}
        sizes |= {"horizon": head.horizon, "action": head.action_dim}
    return sizes


def _check_shape(golden: Golden, name: str, spec: tuple[str | int, ...], sizes: dict[str, int]) -> None:
    """A size that is not known yet is what the first tensor says."""
    shape = tuple(golden.inputs[name].shape)
    fits = len(shape) == len(spec) and all(shape)
    for dimension, size in zip(spec, shape, strict=False):
        fits = fits and size == (dimension if isinstance(dimension, int) else sizes.setdefault(dimension, size))
    if not fits:
        expected = ", ".join(str(sizes.get(d, d)) if isinstance(d, str) else str(d) for d in spec)
        raise CheckpointError(f"{golden.path}: in.{name} has shape {shape}; expected ({expected})")


def _check_prompts(golden: Golden, config: ModelConfig) -> None:
    """Each prompt has as many placeholders as its images have tokens."""
    _check_range(golden, "input_ids", config.language.vocab)
    ids = golden.inputs["input_ids"]
    if "pixel_values" not in golden.inputs:
        return
    if "attention_mask" in golden.inputs and not bool(golden.inputs["attention_mask"].bool().any(dim=1).all()):
        raise CheckpointError(f"{golden.path}: in.attention_mask hides a whole prompt")
    images, prompts = len(golden.inputs["pixel_values"]), len(ids)
    if images % prompts:
        raise CheckpointError(f"{golden.path}: {images} images cannot be shared out to {prompts} prompts")
    placeholders = (ids == config.image_token_id).sum(dim=1)
    expected = images // prompts * config.vision.tokens
    if bool((placeholders != expected).any()):
        raise CheckpointError(
            f"{golden.path}: the prompts hold {placeholders.tolist()} image tokens (id {config.image_token_id}); "
            f"{images // prompts} image(s) each give {expected}"
        )


def _check_range(golden: Golden, name: str, end: int) -> None:
    values = golden.inputs[name]
    if bool((values < 0).any()) or bool((values >= end).any()):
        raise CheckpointError(f"{golden.path}: in.{name} must lie in 0..{end - 1}, got {values.unique().tolist()[:8]}")
