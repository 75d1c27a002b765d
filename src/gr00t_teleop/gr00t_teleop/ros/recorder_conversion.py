# SPDX-License-Identifier: Apache-2.0
"""The recorder's report -> messages and diagnostics; its refusals -> the codes of RecordEpisode."""

from gr00t_msgs.action import RecordEpisode
from gr00t_msgs.msg import RecordedTopic, RecorderState

from gr00t_policy.ros.diagnostics import Level, Status
from gr00t_policy.ros.messages import stamp_from_ns
from gr00t_teleop.recording.report import EpisodeEnd, RecorderReport, Refusal, RefusedError, State

_CODES = {
    Refusal.INVALID: RecordEpisode.Result.ERROR_INVALID_GOAL,
    Refusal.BUSY: RecordEpisode.Result.ERROR_BUSY,
    Refusal.DISK: RecordEpisode.Result.ERROR_DISK,
    Refusal.NO_DATA: RecordEpisode.Result.ERROR_NO_DATA,
    Refusal.NO_EPISODE: RecordEpisode.Result.ERROR_UNKNOWN,
}


def report_to_message(report: RecorderReport, stamp_ns: int, *, is_active: bool) -> RecorderState:
    message = RecorderState(
        state=getattr(RecorderState, report.state.name if is_active else State.INACTIVE.name),
        detail=report.detail if is_active else "",
        instruction=report.instruction,
        bag_path="" if report.bag is None else str(report.bag),
        elapsed_s=report.elapsed_s,
        messages=report.messages,
        messages_lost=report.lost,
        bytes_written=report.bytes_written,
        bytes_free=report.bytes_free,
        alarm=report.alarm,
        topics=[
            RecordedTopic(
                name=topic.name,
                type=topic.type_name,
                required=topic.required,
                rate_hz=topic.rate_hz,
                expected_rate_hz=topic.expected_rate_hz,
                age_s=topic.age_s,
                messages=topic.messages,
                messages_lost=topic.lost,
            )
            for topic in report.topics
        ],
    )
    message.header.stamp = stamp_from_ns(stamp_ns)
    return message


def report_to_status(report: RecorderReport) -> Status:
    """For `/diagnostics`: also how full the queue is."""
    failed = report.state is State.FAILED
    level = Level.ERROR if failed else Level.WARN if report.alarm or report.state is State.IDLE else Level.OK
    return Status(
        name="recorder",
        level=level,
        message=report.detail or report.state.name,
        values={
            "state": report.state.name,
            "messages": report.messages,
            "messages_lost": report.lost,
            "queue_fill": report.queue_fill,
            "bytes_free": report.bytes_free,
            **{f"lost.{topic.name}": topic.lost for topic in report.topics if topic.lost},
            **{f"unrecorded.{topic}": why for topic, why in report.unrecorded.items()},
        },
    )


def refused(error: RefusedError) -> RecordEpisode.Result:
    return RecordEpisode.Result(success=False, error_code=_CODES[error.reason], error_msg=str(error))


def ended(end: EpisodeEnd, *, canceled: bool) -> RecordEpisode.Result:
    """An episode that was cancelled is complete on disk all the same."""
    code = RecordEpisode.Result.ERROR_CANCELED if canceled else RecordEpisode.Result.ERROR_NONE
    return RecordEpisode.Result(
        success=not end.failure,
        error_code=RecordEpisode.Result.ERROR_DISK if end.failure else code,
        error_msg=end.failure or ("cancelled; what was recorded is kept" if canceled else ""),
        bag_path="" if end.bag is None else str(end.bag),
        messages=end.messages,
    )
