# SPDX-License-Identifier: Apache-2.0
"""What must deliver before an episode starts, and while it lasts: the topics that are named, and the robot's cameras."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from gr00t_policy.core.embodiment import Embodiment, load_embodiment
from gr00t_policy.core.errors import ConfigError, EmbodimentError
from gr00t_teleop.recording.config import RecorderConfig


@dataclass(frozen=True)
class Requirement:
    """One of ``topics`` must deliver. rate_hz: a tenth slower raises the alarm; 0: any rate.

    without: what a person does who has none of them, in the words of 'or ...'.
    """

    topics: tuple[str, ...]
    rate_hz: float = 0.0
    without: str = "take it out of required_topics"

    def resolved(self, resolve: Callable[[str], str]) -> "Requirement":
        """The same with full topic names."""
        return replace(self, topics=tuple(resolve(topic) for topic in self.topics))


def robot_with_cameras(config: RecorderConfig) -> Embodiment | None:
    """The robot whose cameras are required; None where none are. Raises ConfigError for a robot that is not known."""
    if not config.require_cameras:
        return None
    try:
        return load_embodiment(config.embodiment)
    except EmbodimentError as error:
        raise ConfigError(
            f"which cameras an episode needs is not known: {error}; give the robot as parameter 'embodiment', "
            "or set require_cameras to false"
        ) from error


def requirements(config: RecorderConfig, robot: Embodiment | None) -> list[Requirement]:
    """By relative names. A camera delivers raw or compressed pictures; one that required_topics names has the rate said there."""
    named = zip(config.required_topics, config.required_rates_hz, strict=True)
    found = [Requirement((topic,), rate_hz) for topic, rate_hz in named]
    for camera in robot.cameras if robot is not None else ():
        raw = f"camera/{camera.name}/image_raw"
        topics = (raw, f"{raw}/compressed")
        if not set(topics) & set(config.required_topics):
            found.append(Requirement(topics, camera.rate_hz, "set require_cameras to false to record without pictures"))
    return found
