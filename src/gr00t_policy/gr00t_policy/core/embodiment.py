# SPDX-License-Identifier: Apache-2.0
"""The robot as the network sees it: joints by name and order, groups, limits, cameras. One YAML file per robot."""

import reprlib
from dataclasses import MISSING, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from gr00t_policy.core.encoding import ACTION_MODES, STATE_MODES, GroupEncoding
from gr00t_policy.core.errors import EmbodimentError

try:  # libyaml's parser: 3 ms of processor time a robot instead of 50
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML was built without it
    from yaml import SafeLoader  # type: ignore[assignment]

_FOLDER = Path(__file__).resolve().parent.parent / "embodiments"


@dataclass(frozen=True)
class Joint:
    """One driven joint. Limits are in the model convention (hands positive when closing).

    sign: model value = sign * value under this name in ROS messages (URDF convention).
    """

    name: str
    group: str
    lower_rad: float
    upper_rad: float
    max_velocity_rad_s: float
    max_acceleration_rad_s2: float
    effort_nm: float
    sign: int = 1


@dataclass(frozen=True)
class Camera:
    """A camera the policy looks through; topic ``camera/<name>/image_raw``."""

    name: str
    width: int
    height: int
    rate_hz: float
    frame_id: str


@dataclass(frozen=True)
class Embodiment:
    """Facts of one robot. ``joints`` are all driven joints; ``policy_groups`` name, in order, those the policy moves.

    state_encoding: mode of every group's state; actions are min_max. state_encodings and action_encodings: the groups that
    differ. tag: under which the network keeps statistics and weights, by default the name. truncate_state: state numbers
    beyond the network's width are cut off, as the published code does, instead of refused.
    """

    name: str
    projector_index: int
    rate_hz: float
    joints: tuple[Joint, ...]
    policy_groups: tuple[str, ...]
    cameras: tuple[Camera, ...]
    language_key: str
    state_encoding: str
    home: dict[str, float]
    tag: str = ""
    state_encodings: dict[str, GroupEncoding] = field(default_factory=dict)
    action_encodings: dict[str, GroupEncoding] = field(default_factory=dict)
    truncate_state: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "tag", self.tag or self.name)
        names = [joint.name for joint in self.joints]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise EmbodimentError(f"embodiment '{self.name}' lists joints twice: {', '.join(repeated)}")
        groups = {joint.group for joint in self.joints}
        missing = [group for group in self.policy_groups if group not in groups]
        if missing:
            raise EmbodimentError(
                f"embodiment '{self.name}' has no joints in group(s) {', '.join(missing)}; groups: {', '.join(sorted(groups))}"
            )
        for joint in self.joints:
            if not joint.lower_rad < joint.upper_rad:
                raise EmbodimentError(
                    f"joint '{joint.name}': lower limit {joint.lower_rad} is not below upper {joint.upper_rad}"
                )
            if joint.sign not in (-1, 1):
                raise EmbodimentError(f"joint '{joint.name}': sign must be 1 or -1, got {joint.sign}")
        self._check_names()
        self._check_encodings()
        for name, value in self.home.items():
            joint = self.joint(name)
            if not joint.lower_rad <= value <= joint.upper_rad:
                raise EmbodimentError(
                    f"home of joint '{name}' is {value}, outside its limits {joint.lower_rad} to {joint.upper_rad}"
                )

    def _check_names(self) -> None:
        """Refuse what would make a lookup by name ambiguous or empty."""
        cameras = [camera.name for camera in self.cameras]
        for what, names in (("policy group", list(self.policy_groups)), ("camera", cameras)):
            if len(set(names)) != len(names):
                raise EmbodimentError(f"embodiment '{self.name}' lists a {what} twice: {names}")
        if not self.policy_groups:
            raise EmbodimentError(f"embodiment '{self.name}' has no policy groups; the policy must move something")

    def _check_encodings(self) -> None:
        if self.state_encoding not in STATE_MODES:
            raise EmbodimentError(
                f"embodiment '{self.name}': state_encoding '{self.state_encoding}'; known: {', '.join(STATE_MODES)}"
            )
        for side, modes in (("state", STATE_MODES), ("action", ACTION_MODES)):
            for group, encoding in getattr(self, f"{side}_encodings").items():
                if group not in self.policy_groups:
                    raise EmbodimentError(
                        f"{side}_encodings of '{self.name}' name '{group}'; its groups: {', '.join(self.policy_groups)}"
                    )
                part = self.policy_slices[group]
                encoding.check_width(group, part.stop - part.start)
                if encoding.mode not in modes:
                    raise EmbodimentError(
                        f"{side}_encodings of '{self.name}': mode '{encoding.mode}' of group '{group}' has no way back "
                        f"to the joints; known: {', '.join(modes)}"
                    )

    @cached_property
    def joint_names(self) -> tuple[str, ...]:
        """All driven joints, in file order."""
        return tuple(joint.name for joint in self.joints)

    @cached_property
    def policy_joints(self) -> tuple[Joint, ...]:
        """The joints of the policy's state and action vectors, in their order."""
        return tuple(joint for group in self.policy_groups for joint in self.joints if joint.group == group)

    @cached_property
    def policy_joint_names(self) -> tuple[str, ...]:
        return tuple(joint.name for joint in self.policy_joints)

    @cached_property
    def policy_slices(self) -> dict[str, slice]:
        """Where each policy group lies in the policy vector (J,)."""
        slices, start = {}, 0
        for group in self.policy_groups:
            stop = start + sum(joint.group == group for joint in self.joints)
            slices[group] = slice(start, stop)
            start = stop
        return slices

    def encoding(self, side: str, group: str) -> GroupEncoding:
        """How ``side`` ("state" or "action") of a policy group is given to the network."""
        differing = self.state_encodings if side == "state" else self.action_encodings
        return differing.get(group) or GroupEncoding(self.state_encoding if side == "state" else "min_max")

    def encoded_width(self, side: str) -> int:
        """How many numbers ``side`` ("state" or "action") has before it is padded to the network's width."""
        return sum(
            self.encoding(side, group).width(part.stop - part.start) for group, part in self.policy_slices.items()
        )

    def joint(self, name: str) -> Joint:
        for joint in self.joints:
            if joint.name == name:
                return joint
        raise EmbodimentError(
            f"joint '{name}' is not in embodiment '{self.name}'; it has: {', '.join(self.joint_names)}"
        )

    def camera(self, name: str) -> Camera:
        for camera in self.cameras:
            if camera.name == name:
                return camera
        raise EmbodimentError(
            f"camera '{name}' is not in embodiment '{self.name}'; it has: {', '.join(camera.name for camera in self.cameras)}"
        )

    def positions_by_name(self, values: dict[str, float]) -> NDArray[np.float64]:
        """Vector over all driven joints, 0 where ``values`` says nothing. Raises EmbodimentError on unknown names."""
        for name in values:
            self.joint(name)
        return np.array([values.get(name, 0.0) for name in self.joint_names])


def load_embodiment(name_or_path: str | Path) -> Embodiment:
    """Read a shipped embodiment by name ('gr1') or a file by path. Raises EmbodimentError.

    A file may start from another one: ``extends: <name, or path beside the file>`` and the keys that differ.
    """
    path = _file_of(name_or_path)
    return embodiment_from_dict(_read(path, ()), where=str(path))


def embodiment_from_dict(data: Any, where: str = "embodiment") -> Embodiment:
    """Build from plain data, refusing unknown and missing keys. Inverse of ``embodiment_to_dict``."""
    if not isinstance(data, dict):
        raise EmbodimentError(f"{where}: expected a mapping, got {type(data).__name__}")
    values = dict(data)
    try:
        values["joints"] = tuple(Joint(**joint) for joint in values["joints"])
        values["cameras"] = tuple(Camera(**camera) for camera in values["cameras"])
        values["policy_groups"] = tuple(values["policy_groups"])
        for key in {"state_encodings", "action_encodings"} & set(values):
            values[key] = {group: GroupEncoding(**encoding) for group, encoding in values[key].items()}
        return Embodiment(**values)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        needed = ", ".join(item.name for item in fields(Embodiment) if _is_needed(item))
        raise EmbodimentError(f"{where}: {error}; needed keys: {needed}") from error


def embodiment_to_dict(embodiment: Embodiment) -> dict[str, Any]:
    """Plain data for YAML or JSON; what a checkpoint stores. What is as by default is left out."""
    data = {item.name: getattr(embodiment, item.name) for item in fields(embodiment)}
    data |= {key: [dict(vars(item)) for item in data[key]] for key in ("joints", "cameras")}
    data |= {
        key: {group: dict(vars(encoding)) for group, encoding in data[key].items()}
        for key in ("state_encodings", "action_encodings")
    }
    data |= {"policy_groups": list(embodiment.policy_groups), "home": dict(embodiment.home)}
    defaults = {"tag": embodiment.name, "state_encodings": {}, "action_encodings": {}, "truncate_state": False}
    return {key: value for key, value in data.items() if key not in defaults or value != defaults[key]}


def _file_of(name_or_path: str | Path, folder: Path = Path()) -> Path:
    """The file of a shipped name, or of a path seen from ``folder``."""
    path = Path(name_or_path)
    return folder / path if path.suffix in (".yaml", ".yml") else _FOLDER / f"{name_or_path}.yaml"


def _read(path: Path, seen: tuple[Path, ...]) -> Any:
    """Plain data of a file on top of those of the file it extends."""
    try:
        is_there = path.is_file()
    except OSError as error:  # a name that no file can have, as one of thousands of letters
        raise EmbodimentError(f"embodiment {reprlib.repr(path.stem)} cannot be looked for: {error.strerror}") from error
    if not is_there:
        known = ", ".join(sorted(file.stem for file in _FOLDER.glob("*.yaml")))
        raise EmbodimentError(f"no embodiment '{path.stem}' ({path}); shipped ones: {known}")
    if path.resolve() in seen:
        raise EmbodimentError(f"{path} extends itself, over {', '.join(file.name for file in seen)}")
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise EmbodimentError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(data, dict) or "extends" not in data:
        return data
    base = _read(_file_of(str(data.pop("extends")), path.parent), (*seen, path.resolve()))
    return {**base, **data} if isinstance(base, dict) else base


def _is_needed(item: Any) -> bool:
    return item.default is MISSING and item.default_factory is MISSING
