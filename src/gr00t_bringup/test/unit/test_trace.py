# SPDX-License-Identifier: Apache-2.0
"""``gr00t trace``: known ages, hops, gaps and losses of a made bag come out exactly; a bag that cannot be read says so."""

import json
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from gr00t_bringup import trace as verb
from gr00t_bringup.tracing.distribution import Distribution
from gr00t_bringup.tracing.periods import StreamMeter
from gr00t_bringup.tracing.trace import Nominal, Trace, trace_bag
from gr00t_policy.core.errors import ConfigError, DatasetError
from gr00t_policy.data.bag import BagMessage, BagTopic, BagWriter

MS = 1_000_000
BEGIN = 1_700_000_000 * 1000 * MS
NOMINAL = Nominal(control_hz=100, gate_hz=100, camera_hz=20, joint_state_hz=100)
STORE = get_typestore(Stores.ROS2_JAZZY)
for _file in sorted((Path(__file__).resolve().parents[3] / "gr00t_msgs" / "msg").glob("*.msg")):
    STORE.register(get_types_from_msg(_file.read_text(), f"gr00t_msgs/msg/{_file.stem}"))
TYPES = {
    "camera/ego_view/image_raw": "sensor_msgs/msg/Image",
    "joint_states": "sensor_msgs/msg/JointState",
    "conditioning_tokens": "gr00t_msgs/msg/ConditioningTokens",
    "action_chunk": "gr00t_msgs/msg/ActionChunk",
    "policy/joint_trajectory": "trajectory_msgs/msg/JointTrajectory",
    "joint_trajectory": "trajectory_msgs/msg/JointTrajectory",
    "dry_run/joint_trajectory": "trajectory_msgs/msg/JointTrajectory",
    "controller/state": "gr00t_msgs/msg/ControllerState",
    "diagnostics": "diagnostic_msgs/msg/DiagnosticArray",
}


@dataclass(frozen=True)
class Run:
    """A run in whole milliseconds: everything every 10 ms, images every 50, tokens every 100. The known delays:

    an image is sent 5 ms after its stamp, tokens 33 ms (20 waiting, 2 + 10 in the planner, 1 sending); the policy answers a
    joint state after 4 ms, so its first command from an image comes after 34; a chunk follows its command by 0.3 ms; the gate
    sends ``gate_ms`` after the joint state. clock_ms: how far the world's clock is behind the system's;
    start_ms: when it begins.
    """

    length_ms: int = 2000
    gate_ms: float = 7.0
    clock_ms: int = 0
    namespace: str = ""
    start_ms: int = 0


def ns(at_ms: float) -> int:
    return BEGIN + round(at_ms * MS)


def made(type_name: str, **fields: object) -> object:
    """A message of a type; fields that are not given are zero or empty."""
    kind = STORE.types[type_name]
    values = {}
    for name, _ in STORE.fielddefs[type_name][1]:
        values[name] = fields.get(name, blank(type_name, name))
    return kind(**values)


def blank(type_name: str, field: str) -> object:
    (node, about) = dict(STORE.fielddefs[type_name][1])[field]
    if node.name == "NAME":
        return made(about)
    if node.name == "BASE":
        return "" if about[0] == "string" else False if about[0] == "bool" else 0.0 if "float" in about[0] else 0
    (inner, kind), _ = about
    if inner.name == "NAME" or kind[0] == "string":
        return []
    return np.zeros(0, {"octet": np.uint8, "byte": np.uint8}.get(kind[0], kind[0]))


def stamp(run: Run, at_ms: float) -> object:
    seconds, nanoseconds = divmod(ns(run.start_ms + at_ms) - run.clock_ms * MS, 1000 * MS)
    return made("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)


def messages(run: Run) -> Iterable[tuple[str, float, float, object]]:
    """(topic, sent [ms], received [ms], message)"""

    def one(topic: str, sent_ms: float, stamp_ms: float, late_ms: float = 0.2, **fields: object) -> tuple:
        header = made("std_msgs/msg/Header", stamp=stamp(run, stamp_ms))
        return topic, sent_ms, sent_ms + late_ms, made(TYPES[topic], header=header, **fields)

    for at in range(0, run.length_ms, 10):
        yield one("joint_states", at + 0.1, at)
        yield one("joint_trajectory", at + run.gate_ms, at)
        if at % 50 == 0:
            yield one("camera/ego_view/image_raw", at + 5, at)
        if at % 100 == 0:
            times = {"wait_s": 0.020, "preprocess_s": 0.002, "encode_s": 0.010}
            yield one("conditioning_tokens", at + 33, at, 0.8, sequence=at // 100 + 1, **times)
        if at >= 30:
            yield one("policy/joint_trajectory", at + 4, at)
            image = (at - 30) // 100 * 100
            if (at - 30) % 50 == 0:
                yield one("action_chunk", at + 4.3, at + 50, chunk_id=(at - 30) // 10 + 1, inference_s=0.003,
                          tokens_sequence=image // 100 + 1, tokens_stamp=stamp(run, image),
                          state_stamp=stamp(run, at))  # fmt: skip


def write(
    folder: Path, run: Run, keep: Callable[[str, float], bool] = lambda *_: True, then: Run | None = None
) -> Path:
    """One or two runs as a bag, numbered by their senders before ``keep`` drops messages."""
    return write_rows(folder, rows_of(run, keep) + (rows_of(then, keep) if then else []), run.namespace)


def write_rows(folder: Path, rows: list[BagMessage], namespace: str = "") -> Path:
    with BagWriter(folder) as bag:
        for topic in dict.fromkeys(row.topic for row in rows):
            kind = TYPES[topic.removeprefix(f"{namespace}/")]
            bag.add_topic(BagTopic(topic, kind, STORE.generate_msgdef(kind, ros_version=2)[0]))
        for row in sorted(rows, key=lambda row: row.log_ns):
            bag.write(row)
    return folder


def rows_of(run: Run, keep: Callable[[str, float], bool]) -> list[BagMessage]:
    rows, numbers = [], dict.fromkeys(TYPES, 0)
    for topic, sent_ms, received_ms, message in sorted(messages(run), key=lambda row: row[1]):
        numbers[topic] += 1
        if keep(topic, sent_ms):
            cdr = bytes(STORE.serialize_cdr(message, TYPES[topic]))
            sent_ns, received_ns = (ns(run.start_ms + at_ms) for at_ms in (sent_ms, received_ms))
            rows.append(BagMessage(f"{run.namespace}/{topic}", cdr, received_ns, sent_ns, numbers[topic]))
    return rows


def traced(folder: Path, run: Run, keep: Callable[[str, float], bool] = lambda *_: True) -> Trace:
    return trace_bag(write(folder, run, keep), NOMINAL)


KNOWN_MS = {
    "image_to_sent": 5, "image_to_encoding": 20, "preprocess": 2, "encode": 10, "tokens_to_sent": 1, "image_to_tokens": 33,
    "tokens_to_received": 0.8, "tokens_to_chunk": 1.3, "inference": 3, "joint_state_to_sent": 0.1,
    "joint_state_to_policy": 4, "policy_to_robot": 3, "joint_state_to_robot": 7, "gate_state_age": 7,
    "image_to_policy": 34, "image_to_robot": 37,
}  # fmt: skip


@pytest.mark.parametrize("clock_ms", [0, BEGIN // MS - 5000], ids=["system clock", "simulated clock"])
def test_every_age_and_hop_of_a_made_bag_is_found_exactly(tmp_path, clock_ms):
    trace = traced(tmp_path / "bag", Run(clock_ms=clock_ms))
    # On a clock of its own the sending of a joint state is what its stamp means: 0.1 ms are not seen.
    shift = 0.1 if clock_ms else 0.0
    from_stamp = ("image", "joint_state", "gate")
    for key, expected in KNOWN_MS.items():
        figures = trace.chain.spans[key].figures()
        if clock_ms and key == "joint_state_to_sent":
            assert figures.count == 0
            continue
        here = expected - shift * (key.startswith(from_stamp) and key != "image_to_encoding")
        here -= shift * (key == "tokens_to_sent")
        assert (figures.min, figures.p50, figures.max) == pytest.approx((here,) * 3, abs=1e-4), key
    age = trace.chain.spans["token_age_at_use"].figures()
    assert (age.min, age.max) == pytest.approx((34.3 - shift, 84.3 - shift), abs=1e-4)
    assert trace.chain.head_rate_hz == pytest.approx(100)
    assert trace.missing().keys() == ({"joint_state_to_sent"} if clock_ms else set())


def test_rates_periods_and_counts_of_an_undisturbed_run(tmp_path):
    streams = traced(tmp_path / "bag", Run()).streams()
    for topic, (hz, count) in {"/joint_states": (100, 200), "/policy/joint_trajectory": (100, 197),
                               "/conditioning_tokens": (10, 20), "/camera/ego_view/image_raw": (20, 40)}.items():  # fmt: skip
        figures = streams[topic]
        assert (figures.count, figures.rate_hz, figures.misses, figures.lost) == (count, pytest.approx(hz), 0, 0)
        assert figures.period_ms.p99 == figures.period_ms.max == pytest.approx(1000 / hz)
        assert not figures.pauses


def test_commands_that_were_lost_or_never_sent_are_misses_and_a_long_silence_is_a_pause(tmp_path):
    def keep(topic: str, sent_ms: float) -> bool:
        return topic != "policy/joint_trajectory" or not (sent_ms in (504, 514, 804) or 1000 < sent_ms < 1600)

    figures = traced(tmp_path / "bag", Run(), keep).streams()["/policy/joint_trajectory"]
    assert (figures.misses, figures.missed_periods, figures.lost) == (2, 3, 3 + 60)
    assert figures.period_ms.max == pytest.approx(30)
    assert len(figures.pauses) == 1
    assert figures.pauses[0].length_s == pytest.approx(0.61)
    assert figures.pauses[0].at_s == pytest.approx(0.994 - 0.0001)


def test_a_later_gate_adds_exactly_its_delay_to_what_ends_there(tmp_path):
    slower = traced(tmp_path / "bag", Run(gate_ms=9.5)).chain.spans
    for key in ("policy_to_robot", "joint_state_to_robot", "image_to_robot"):
        assert slower[key].figures().p50 == pytest.approx(KNOWN_MS[key] + 2.5, abs=1e-4)
    assert slower["image_to_policy"].figures().p50 == pytest.approx(34, abs=1e-4)


def said_of_leads(at_ms: float, **statuses: dict[str, object]) -> BagMessage:
    """``/diagnostics`` of nodes with these values."""
    told = []
    for node, values in statuses.items():
        pairs = [made("diagnostic_msgs/msg/KeyValue", key=key, value=str(value)) for key, value in values.items()]
        told.append(made("diagnostic_msgs/msg/DiagnosticStatus", name=f"{node}: loop", values=pairs))
    message = made(TYPES["diagnostics"], status=told)
    return BagMessage(
        "/diagnostics", bytes(STORE.serialize_cdr(message, TYPES["diagnostics"])), ns(at_ms), ns(at_ms), 0
    )


def test_the_leads_that_nodes_told_are_shown_with_their_range(tmp_path, capsys):
    measured = {"tick_lead": "measured", "tick_lead.input_us": "nan"}
    rows = rows_of(Run(), lambda *_: True)
    for at_ms, lead_us, late in ((500, 2500.0, 1), (1000, 3100.0, 4), (1500, 2900.0, 5)):
        controller = {**measured, "tick_lead.us": lead_us, "tick_lead.late": late}
        rows.append(said_of_leads(at_ms, controller=controller, retargeter={"tick_lead": "none: 100 Hz"}, sim={"a": 1}))
    trace = trace_bag(write_rows(tmp_path / "bag", rows), NOMINAL)
    assert set(trace.as_data()["tick_leads"]) == {"controller", "retargeter"}
    lead = trace.leads["controller"]
    assert (lead.how, lead.newest_ms, lead.shortest_ms, lead.longest_ms, lead.late) == ("measured", 2.9, 2.5, 3.1, 5)
    assert verb.run(verb.TraceConfig(tmp_path / "bag")) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "2.90 ms before the gate's tick, measured (2.50 to 3.10); 5 commands perhaps too late for it" in shown
    assert "tick lead of retargeter" in shown and "none: 100 Hz" in shown
    assert traced(tmp_path / "silent", Run()).leads == {}


def told_counts(at_ms: float, ticks: int, misses: int) -> BagMessage:
    kind = TYPES["controller/state"]
    cdr = bytes(STORE.serialize_cdr(made(kind, state=3, ticks=ticks, deadline_misses=misses), kind))
    return BagMessage("/controller/state", cdr, ns(at_ms), ns(at_ms), 0)


def test_missed_commands_are_those_of_the_bag_also_when_it_begins_late_and_the_controller_is_activated_again(
    tmp_path, capsys
):
    """The controller had run for eight hours; it misses 2 of 100, is activated again, and misses 3 of 60 and 0 of 40."""
    told = ((100, 3_456_000, 17_000), (1100, 3_456_100, 17_002), (1200, 60, 3), (1600, 100, 3))
    rows = [*rows_of(Run(), lambda *_: True), *(told_counts(*each) for each in told)]
    bag = write_rows(tmp_path / "bag", rows)
    data = trace_bag(bag, NOMINAL).as_data()
    assert (data["control_ticks"], data["deadline_misses"]) == (100 + 60 + 40, 2 + 3)
    verb.run(verb.TraceConfig(bag))
    assert "5 of 200 due in the bag, by the controller's own count" in " ".join(capsys.readouterr().out.split())


def test_topics_are_found_in_any_namespace(tmp_path):
    trace = traced(tmp_path / "bag", Run(namespace="/robot/left"))
    assert trace.chain.spans["image_to_robot"].figures().p50 == pytest.approx(37, abs=1e-4)


def test_what_a_missing_topic_makes_impossible_is_named_and_the_rest_is_computed(tmp_path):
    trace = traced(tmp_path / "bag", Run(), lambda topic, _: topic != "action_chunk")
    missing = trace.missing()
    assert missing["image_to_policy"] == "action_chunk not recorded"
    assert missing.keys() == {"image_to_policy", "image_to_robot", "token_age_at_use", "tokens_to_chunk", "inference"}
    assert trace.chain.spans["joint_state_to_robot"].figures().p50 == pytest.approx(7, abs=1e-4)


def test_a_gate_that_is_not_recorded_is_not_said_to_be_silent(tmp_path, capsys):
    def shown(folder: Path) -> str:
        assert verb.run(verb.TraceConfig(folder)) == 0
        return " ".join(capsys.readouterr().out.split())

    absent = write(tmp_path / "absent", Run(), lambda topic, _: topic != "joint_trajectory")
    silent = write(tmp_path / "silent", Run(), lambda topic, at_ms: topic != "joint_trajectory" or at_ms < 1000)
    assert "commands of the policy without one of the gate" not in (said := shown(absent))
    assert "joint_trajectory not recorded" in said
    assert "commands of the policy without one of the gate" in shown(silent)
    assert trace_bag(absent, NOMINAL).as_data()["commands_unanswered"] is None
    assert 40 < trace_bag(silent, NOMINAL).as_data()["commands_unanswered"] <= 50


@pytest.mark.parametrize("namespace", ["", "/robot/left"])
def test_in_a_dry_run_the_gate_is_what_it_would_have_sent(tmp_path, namespace):
    gates = f"{namespace}/joint_trajectory"
    rows = [
        replace(row, topic=f"{namespace}/dry_run/joint_trajectory") if row.topic == gates else row
        for row in rows_of(Run(namespace=namespace), lambda *_: True)
    ]
    trace = trace_bag(write_rows(tmp_path / "bag", rows, namespace), NOMINAL)
    assert trace.chain.spans["image_to_robot"].figures().p50 == pytest.approx(37, abs=1e-4)
    assert trace.as_data()["commands_unanswered"] == 0 and trace.missing() == {}


def test_a_recorder_that_knows_only_when_it_received_is_traced_by_that(tmp_path):
    """As older versions of ``ros2 bag record``: no numbers, no time of sending. Each message is seen 0.2 ms later, tokens 0.8."""
    rows = [replace(row, publish_ns=0, sequence=0) for row in rows_of(Run(), lambda *_: True)]
    trace = trace_bag(write_rows(tmp_path / "bag", rows), NOMINAL)
    for key, expected in {"joint_state_to_policy": 4.2, "policy_to_robot": 3, "image_to_robot": 37.2}.items():
        assert trace.chain.spans[key].figures().p50 == pytest.approx(expected, abs=1e-4), key
    assert trace.chain.spans["tokens_to_received"].figures().max == 0
    assert {figures.lost for figures in trace.streams().values()} == {None}


def test_memory_does_not_grow_with_the_bag(tmp_path):
    """Ten seconds more are 3500 messages, 1 MB if their events were kept."""
    peaks = []
    for length_ms in (2_000, 12_000):
        bag = write(tmp_path / str(length_ms), Run(length_ms))
        tracemalloc.start()
        trace_bag(bag, NOMINAL)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 700_000, peaks


def test_a_new_activation_of_all_nodes_ties_to_its_own_messages(tmp_path):
    """All numbers begin again at 1; only the stamps tell the two tokens 1 apart."""
    trace = trace_bag(write(tmp_path / "bag", Run(500), then=Run(500, start_ms=9000)), NOMINAL)
    for key, expected in KNOWN_MS.items():
        figures = trace.chain.spans[key].figures()
        assert (figures.min, figures.max) == pytest.approx((expected, expected), abs=1e-4), key
    assert {figures.lost for figures in trace.streams().values()} == {0}
    assert trace.streams()["/conditioning_tokens"].pauses[0].length_s == pytest.approx(9 - 0.4)


def test_the_verb_writes_figures_and_a_picture(tmp_path, capsys):
    bag = write(tmp_path / "bag", Run(600))
    config = verb.TraceConfig(
        bag, control_hz=100, gate_hz=100, json=tmp_path / "t.json", plot=tmp_path / "sub" / "t.png"
    )
    assert verb.run(config) == 0
    data = json.loads((tmp_path / "t.json").read_text())
    assert data["ages_ms"]["image_to_robot"]["p99"] == pytest.approx(37, abs=1e-4)
    assert data["streams"]["/policy/joint_trajectory"]["misses"] == 0
    assert (tmp_path / "sub" / "t.png").read_bytes()[:4] == b"\x89PNG"
    assert "image to the gate's first command from it" in capsys.readouterr().out


def test_bags_that_cannot_be_used_say_what_is_wrong_and_what_to_do(tmp_path):
    def refused(folder: Path, words: str) -> None:
        with pytest.raises(DatasetError, match=words):
            trace_bag(folder, NOMINAL)

    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "is not a bag: it holds no .mcap file")
    refused(tmp_path / "nowhere", "there is no bag")
    whole = write(tmp_path / "whole", Run(300))
    content = (whole / "whole_0.mcap").read_bytes()
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "cut_0.mcap").write_bytes(content[: len(content) // 2])
    refused(tmp_path / "cut", "gr00t bag recover")
    with BagWriter(tmp_path / "other") as bag:
        bag.add_topic(BagTopic("/rosout", "std_msgs/msg/String", "string data\n"))
    refused(tmp_path / "other", "holds no topic of the suite under '/'; it has: /rosout")
    with BagWriter(tmp_path / "wrong") as bag:
        bag.add_topic(BagTopic("/joint_states", "std_msgs/msg/String", "string data\n"))
    refused(tmp_path / "wrong", "/joint_states is std_msgs/msg/String .* expected sensor_msgs/msg/JointState")
    with BagWriter(tmp_path / "silent") as bag:
        kind = "sensor_msgs/msg/JointState"
        bag.add_topic(BagTopic("/joint_states", kind, STORE.generate_msgdef(kind, ros_version=2)[0]))
    refused(tmp_path / "silent", "holds no message of the suite")


def test_a_message_that_does_not_fit_its_definition_is_named(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        kind = TYPES["action_chunk"]
        bag.add_topic(BagTopic("/action_chunk", kind, STORE.generate_msgdef(kind, ros_version=2)[0]))
        bag.write(BagMessage("/action_chunk", b"\0\1\0\0" + b"\xff" * 20, BEGIN, BEGIN, 1))
    with pytest.raises(DatasetError, match="a message of /action_chunk in bag .* cannot be read"):
        trace_bag(tmp_path / "bag", NOMINAL)


def test_wrong_rates_are_refused():
    with pytest.raises(ConfigError, match="rates are 0"):
        verb.TraceConfig(Path("bag"), control_hz=-1)


def test_a_distribution_that_is_full_keeps_exact_extremes_and_a_fair_sample():
    full = Distribution(capacity=1000)
    values = np.random.default_rng(3).permutation(100_000) / 1000
    for place, value in enumerate(values):
        full.add(float(value), place)
    figures = full.figures()
    assert (figures.count, figures.min, figures.max, figures.exact) == (100_000, 0.0, 99.999, False)
    assert figures.mean == pytest.approx(values.mean())
    assert figures.std == pytest.approx(values.std())
    assert figures.p50 == pytest.approx(50, abs=5)
    kept, times = full.kept()
    assert len(kept) == 1000 and np.all(np.diff(times) >= 0)
    assert times.mean() == pytest.approx(50_000, rel=0.1), "early and late values alike"


def test_a_stream_that_is_slower_than_a_pause_has_a_rate_and_no_pauses():
    meter = StreamMeter(10.0, 0.5)
    for number in range(10):
        meter.add(number * 2000 * MS, number + 1, 0)
    figures = meter.figures()
    assert (figures.rate_hz, figures.pauses) == (pytest.approx(0.5), ())
    assert (figures.misses, figures.missed_periods) == (9, 9 * 19)


def test_numbers_of_several_senders_are_not_counted_as_losses():
    meter = StreamMeter(0, 1.0)
    for number in range(1, 200):
        meter.add(number * MS, number, 0)
        meter.add(number * MS, 5000 - number, 0)
    assert meter.figures().lost is None
