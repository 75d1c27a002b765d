# SPDX-License-Identifier: Apache-2.0
"""What may be set about the node ``recorder``."""

from dataclasses import dataclass

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.bag import COMPRESSIONS, BagLayout
from gr00t_policy.runtime.config import check_choice, setting

_MB = 1_000_000


@dataclass(frozen=True)
class RecorderConfig:
    """Settings of the recorder. Topics are relative names; those that nobody publishes are simply absent from the bag,
    but an episode starts only when every required one delivers.
    """

    autostart: bool = setting(False, "configure and activate by itself after start")
    folder: str = setting("out/episodes", "folder of the episodes; one recorder at a time may have it")
    embodiment: str = setting("gr1", "robot that is recorded, by name or file; stored with the episode")
    instruction: str = setting(
        "", "sentence of episodes started by recorder/start; empty: the newest language_command", live=True
    )
    operator_name: str = setting("", "who shows it, for episodes started by recorder/start", live=True)

    topics: tuple[str, ...] = setting(("joint_states", "joint_trajectory"), "topics to record where they exist")
    required_topics: tuple[str, ...] = setting(
        ("joint_states", "joint_trajectory"), "topics without which no episode starts; they need not be in topics"
    )
    required_rates_hz: tuple[float, ...] = setting(
        (120.0, 120.0), "expected rate of each required topic; a tenth slower raises the alarm; 0: any rate", "Hz"
    )
    require_cameras: bool = setting(
        True, "pictures of each camera of the embodiment are required too, raw or compressed, at its rate"
    )
    pausing_topics: tuple[str, ...] = setting(
        ("language_command", "teleop/joint_trajectory", "policy/joint_trajectory", "action_chunk"),
        "topics that come only at times: it is no alarm when one that is not required stops",
    )
    silent_s: float = setting(1.0, "a topic without a message for so long is silent", "s", 0.1, 60.0)

    review: bool = setting(True, "an episode that ended waits for keep or discard; false: it is kept at once")
    max_episode_s: float = setting(300.0, "an episode ends after this time; 0: never", "s", 0.0, 86400.0)
    max_instruction_bytes: int = setting(512, "longest sentence that is taken, in UTF-8", "", 1, 100000)

    compression: str = setting("none", "of the chunks: 'none' or 'zstd'")
    chunk_kb: int = setting(256, "a chunk is closed when it is larger, or older than 0.2 s", "kB", 1, 100000)
    split_mb: int = setting(0, "a bag goes on in a new file when this one is larger; 0: never", "MB", 0, 1000000)
    split_s: float = setting(0.0, "a bag goes on in a new file when this one is longer; 0: never", "s", 0.0, 86400.0)
    queue_mb: int = setting(64, "messages that may wait for the disk; more are lost and counted", "MB", 1, 10000)

    snapshot_s: float = setting(10.0, "what recorder/snapshot saves; 0: nothing is kept for it", "s", 0.0, 600.0)
    snapshot_mb: int = setting(128, "memory for it; the oldest messages give way", "MB", 1, 100000)

    start_free_mb: int = setting(2000, "no episode starts with less space on the disk", "MB", 1, 10000000)
    stop_free_mb: int = setting(1000, "an episode ends, complete, with less space on the disk", "MB", 1, 10000000)

    def __post_init__(self) -> None:
        check_choice("compression", self.compression, tuple(COMPRESSIONS))
        if len(self.required_rates_hz) != len(self.required_topics):
            raise ConfigError(
                f"required_rates_hz has {len(self.required_rates_hz)} numbers for {len(self.required_topics)} "
                "required_topics; give one for each, 0 where any rate will do"
            )
        if not all(rate >= 0 for rate in self.required_rates_hz):
            raise ConfigError(f"required_rates_hz must not be negative, got {self.required_rates_hz}")
        if self.stop_free_mb >= self.start_free_mb:
            raise ConfigError(
                f"start_free_mb ({self.start_free_mb}) must be more than stop_free_mb ({self.stop_free_mb}), "
                "or an episode ends as soon as it starts"
            )
        if not self.topics and not self.required_topics:
            raise ConfigError("there is no topic to record: both topics and required_topics are empty")

    @property
    def layout(self) -> BagLayout:
        return BagLayout(self.chunk_kb * 1000, self.compression, self.split_mb * _MB, self.split_s)

    @property
    def queue_bytes(self) -> int:
        return self.queue_mb * _MB

    @property
    def start_free_bytes(self) -> int:
        return self.start_free_mb * _MB

    @property
    def stop_free_bytes(self) -> int:
        return self.stop_free_mb * _MB
