# SPDX-License-Identifier: Apache-2.0
"""Node ``recorder``: topics in, episodes on disk. The logic is in ``recording/episode_recorder.py``."""

import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

from gr00t_msgs.msg import RecorderState
from std_msgs.msg import String

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.ros import qos
from gr00t_policy.ros.diagnostics import PERIOD_S, Diagnostics
from gr00t_policy.ros.lifecycle import SuiteNode, run
from gr00t_teleop.recording.config import RecorderConfig
from gr00t_teleop.recording.episode_folders import EpisodeFolders
from gr00t_teleop.recording.episode_recorder import EpisodeRecorder
from gr00t_teleop.recording.requirement import requirements, robot_with_cameras
from gr00t_teleop.recording.software import software_versions
from gr00t_teleop.ros.episode_action import EpisodeAction
from gr00t_teleop.ros.raw_topics import RawTopics
from gr00t_teleop.ros.recorder_conversion import report_to_message, report_to_status
from gr00t_teleop.ros.recorder_services import RecorderServices

_TICK_S, _STATE_PERIOD_S = 0.05, 0.5


class RecorderNode(SuiteNode[RecorderConfig]):
    """A thread of its own receives and hands messages to the recorder; timers and requests run in the executor."""

    def __init__(self, **options: Any) -> None:
        super().__init__("recorder", RecorderConfig, **options)
        self._folders: EpisodeFolders | None = None
        self._recorder: EpisodeRecorder | None = None
        self._received: RawTopics | None = None
        self._sentence = ""
        self._told = ("", False)
        self._diagnostics = Diagnostics(self)

    @property
    def recorder(self) -> EpisodeRecorder:
        assert self._recorder is not None, "configured first"
        return self._recorder

    def configure(self, settings: RecorderConfig) -> None:
        self._folders = EpisodeFolders(Path(settings.folder).absolute())
        for bag in self._folders.unfinished():
            self.get_logger().warning(f"{bag} was cut off; `gr00t bag recover {bag}` saves what is whole")
        self._keep_undecided(self._folders)
        robot = robot_with_cameras(settings)
        required = requirements(settings, robot)
        self._recorder = EpisodeRecorder(
            settings,
            self._folders,
            [self.resolve_topic_name(topic) for topic in settings.topics],
            [each.resolved(self.resolve_topic_name) for each in required],
            _facts(settings.embodiment if robot is None else robot.name),
            {self.resolve_topic_name(topic) for topic in settings.pausing_topics},
        )
        self._recorder.is_receiving = False
        self._state = self.keep_publisher(RecorderState, "recorder/state", qos.LATCHED)
        self.keep_subscription(String, "language_command", self._on_language_command, qos.LANGUAGE)
        self.keep(
            RecorderServices.destroy, RecorderServices(self, self._recorder, self._start_episode, self._tell_state)
        )
        self._action = self.keep(EpisodeAction.destroy, EpisodeAction(self, self._recorder))
        self.keep_timer(_TICK_S, self._tick)
        self.keep_timer(_STATE_PERIOD_S, self._tell_state)
        self.keep_timer(PERIOD_S, self._tell_diagnostics)
        self._tell_state()

    def activate(self) -> None:
        self.recorder.is_receiving = True
        # Names are resolved already; the remappings of this node are not for a second one in its process.
        self._received = RawTopics(
            self.context, f"{self.get_name()}_topics", self.recorder, self.get_namespace(), use_global_arguments=False
        )

    def deactivate(self) -> None:
        if self._received is not None:
            self._received.close()
            self._received = None
        if self._recorder is not None:
            self._recorder.is_receiving = False
            self._recorder.close(time.monotonic_ns())
            self._action.tick()

    def cleanup(self) -> None:
        if self._recorder is not None:
            self._recorder.keep_reviewed()
            self._recorder = None
        if self._folders is not None:
            self._folders.release()
            self._folders = None

    def _keep_undecided(self, folders: EpisodeFolders) -> None:
        try:
            for bag in folders.keep_undecided():
                self.get_logger().warning(f"{bag} was in review when its recorder was killed; it is kept, not judged")
        except (DatasetError, OSError) as error:
            self.get_logger().warning(f"an episode that was in review when its recorder was killed stays so: {error}")

    def _start_episode(self) -> Path:
        """What recorder/start does."""
        settings = self.settings
        sentence = settings.instruction or self._sentence
        return self.recorder.start(time.monotonic_ns(), time.time_ns(), sentence, settings.operator_name)

    def _on_language_command(self, message: String) -> None:
        self._sentence = message.data

    def _tick(self) -> None:
        if self._received is not None and self._received.failure is not None:
            raise self._received.failure  # nothing is received any more
        self.recorder.tick(time.monotonic_ns())
        self._action.tick()
        report = self.recorder.report(time.monotonic_ns())
        if (report.state.name, report.alarm) != self._told:
            self._tell_state()

    def _tell_state(self) -> None:
        report = self.recorder.report(time.monotonic_ns())
        told, self._told = self._told, (report.state.name, report.alarm)
        if told != self._told and report.alarm:
            self.get_logger().warning(report.detail, throttle_duration_sec=1.0)
        elif told[0] != self._told[0]:
            self.get_logger().info(f"{report.state.name}: {report.detail}" if report.detail else report.state.name)
        self._state.publish(report_to_message(report, self.now_ns, is_active=self._received is not None))

    def _tell_diagnostics(self) -> None:
        report = self.recorder.report(time.monotonic_ns())
        self._diagnostics.publish(self.get_clock().now().to_msg(), [report_to_status(report)])


def _facts(embodiment: str) -> dict[str, str]:
    """What is stored with every episode beside what is said of it."""
    return {
        "embodiment": embodiment,
        "host": socket.gethostname(),
        "ros_distro": os.environ.get("ROS_DISTRO", "jazzy"),
        "rmw": os.environ.get("RMW_IMPLEMENTATION", ""),
        **{f"version.{name}": number for name, number in software_versions().items()},
    }


def main() -> int:
    return run(RecorderNode)


if __name__ == "__main__":
    sys.exit(main())
