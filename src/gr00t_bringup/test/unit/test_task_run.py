# SPDX-License-Identifier: Apache-2.0
"""A task's state machine on a made-up stack and clock: what always holds, however the nodes behave."""

import random

import pytest

from gr00t_bringup.nodes import NODES, parameter_files, settings_type
from gr00t_bringup.task_execution.config import TaskServerConfig
from gr00t_bringup.task_execution.stack_view import (
    POLICY,
    ControllerNews,
    GateNews,
    GateWord,
    PlannerNews,
    StackView,
    Verdict,
)
from gr00t_bringup.task_execution.task import End, Task, TaskRefusedError, check_free, check_ready, checked_task
from gr00t_bringup.task_execution.task_run import Ended, TaskRun

SETTINGS = TaskServerConfig()
TASK = Task("lift the can", 10.0)
TICK_S = 0.05


class MadeStack:
    """Obeys at once what it is told; fields are set to let it misbehave. silent: kinds of news that do not come."""

    def __init__(self, source: str = POLICY) -> None:
        self.planner = PlannerNews(True, "")
        self.controller = ControllerNews(True, 3)
        self.gate = GateNews(GateWord.ACTIVE if source else GateWord.HOLD, source)
        self.verdict: Verdict | None = None
        self.hears = self.answers = True
        self.refusal = ""
        self.silent: set[type] = set()
        self.said = 0
        self.selected: list[str] = []
        self.sentence_when_selected: list[str] = []
        self.now_s = 100.0
        self.view = StackView(SETTINGS.state_timeout_s)
        self.tell()
        self.run = TaskRun(TASK, SETTINGS, self.view, self.now_s)

    def tell(self) -> None:
        for news in (self.planner, self.controller, self.gate, self.verdict):
            if news is not None and type(news) not in self.silent:
                self.view.hear(self.now_s, news)

    def tick(self, *, canceled: bool = False) -> Ended | None:
        self.now_s += TICK_S
        self.tell()
        order = self.run.step(self.now_s, canceled=canceled)
        if order.say:
            self.said += 1
            if self.hears:
                self.planner = PlannerNews(True, TASK.sentence)
        if order.select is not None:
            self.selected.append(order.select)
            self.sentence_when_selected.append(self.planner.instruction)
            if self.answers:
                if not self.refusal:
                    self.gate = GateNews(GateWord.ACTIVE if order.select else GateWord.HOLD, order.select)
                self.run.answered(order.select, self.refusal)
        return order.ended

    def ticks(self, time_s: float) -> None:
        for _ in range(round(time_s / TICK_S)):
            assert self.tick() is None

    def end(self, *, canceled: bool = False) -> Ended:
        for _ in range(round((TASK.limit_s + SETTINGS.answer_s) / TICK_S) + 3):
            ended = self.tick(canceled=canceled)
            if ended is not None:
                return ended
        raise AssertionError("the task has no end")


def driving(source: str = POLICY) -> MadeStack:
    stack = MadeStack(source)
    stack.ticks(0.5)
    assert stack.gate.policy_drives
    return stack


@pytest.mark.parametrize("seed", range(60))
def test_whatever_the_stack_does_a_task_ends_in_time_with_nobody_selected_and_never_begins_with_another_sentence(seed):
    rng = random.Random(seed)
    stack = MadeStack(rng.choice(["", POLICY]))
    ended = None
    canceled = False
    for _ in range(round((TASK.limit_s + SETTINGS.answer_s) / TICK_S) + 2):
        if rng.random() < 0.02:
            stack.gate = GateNews(rng.choice(list(GateWord)), rng.choice(["", POLICY, POLICY, "teleop"]), "why")
        if rng.random() < 0.02:
            stack.hears, stack.answers = rng.random() < 0.8, rng.random() < 0.8
            stack.silent = set(rng.sample([PlannerNews, ControllerNews, GateNews], rng.randrange(2)))
            stack.verdict = Verdict(rng.choice([TASK.sentence, "another"]), rng.random() < 0.3)
        canceled |= rng.random() < 0.003
        ended = stack.tick(canceled=canceled)
        if ended is not None:
            break
    assert ended is not None
    assert 0 <= ended.drove_s <= stack.run.elapsed_s(stack.now_s) <= TASK.limit_s + SETTINGS.answer_s + 3 * TICK_S
    driver = stack.view.newest(GateNews).source
    assert stack.selected[-1:] == [""] or driver == "teleop" or "teleop" in ended.text
    told = zip(stack.selected, stack.sentence_when_selected, strict=True)
    assert all(sentence == TASK.sentence for source, sentence in told if source == POLICY)
    assert (ended.text == "") == (ended.end is End.NONE)


def test_the_policy_is_selected_only_where_nobody_was_and_the_sentence_is_said_once_when_it_is_heard():
    for source, selected in (("", [POLICY]), (POLICY, [])):
        stack = driving(source)
        assert (stack.selected, stack.said) == (selected, 1)


def test_a_success_counts_only_for_this_sentence_and_after_the_task_was_seen_unsolved():
    stack = MadeStack()
    stack.verdict = Verdict(TASK.sentence, True)  # latched, of the run before
    stack.ticks(2.0)
    stack.verdict = Verdict("another", False)
    stack.ticks(0.1)
    stack.verdict = Verdict("another", True)
    stack.ticks(2.0)
    stack.verdict = Verdict(TASK.sentence, True)
    ended = stack.end()
    assert (ended.end, ended.text, stack.selected) == (End.NONE, "", [""])
    assert ended.drove_s == pytest.approx(stack.run.elapsed_s(stack.now_s), abs=0.3)


def test_a_task_ends_when_its_time_is_up_and_not_before():
    stack = MadeStack()
    stack.ticks(TASK.limit_s - TICK_S)
    ended = stack.end()
    assert (ended.end, stack.selected) == (End.TIME_LIMIT, [""])
    assert "10 s" in ended.text


def test_a_gate_that_holds_shortly_goes_on_and_longer_ends_the_task_with_its_reason():
    stack = driving()
    for word in (GateWord.HOLD, GateWord.DAMPED, GateWord.STOPPED):
        stack.gate = GateNews(word, POLICY, "commands are too old")
        stack.ticks(SETTINGS.held_s - TICK_S)
        stack.gate = GateNews(GateWord.ACTIVE, POLICY)
        stack.ticks(0.1)
    stack.gate = GateNews(GateWord.HOLD, POLICY, "commands are too old")
    ended = stack.end()
    assert (ended.end, ended.text) == (End.HELD, "the gate is in HOLD: commands are too old")
    assert stack.selected == [""]


def test_before_the_policy_first_drives_the_gate_may_wait_longer_for_it_but_not_when_it_is_stopped():
    for word, patience_s in ((GateWord.HOLD, SETTINGS.start_s), (GateWord.STOPPED, SETTINGS.held_s)):
        stack = MadeStack()
        stack.gate = GateNews(word, POLICY, "waiting for commands")
        stack.ticks(patience_s)
        ended = stack.end()
        assert (ended.end, ended.drove_s) == (End.HELD, 0.0)
        assert stack.run.elapsed_s(stack.now_s) < patience_s + 0.5


@pytest.mark.parametrize("source", ["", POLICY])
@pytest.mark.parametrize(
    ("other", "said"),
    [("throw it away", "another sentence was said: 'throw it away'"), ("", "the sentence was taken back")],
)
def test_another_sentence_ends_the_task_soon_and_the_robot_does_not_go_on_by_it(source, other, said):
    stack = driving(source)
    stack.planner, since_s = PlannerNews(True, other), stack.now_s
    ended = stack.end()
    assert (ended.end, ended.text) == (End.REPLACED, said)
    assert stack.now_s - since_s < 1.0
    assert stack.selected[-1:] == [""]


def test_what_the_planner_told_before_it_took_the_sentence_does_not_end_the_task():
    stack = driving()
    for _ in range(3):
        stack.planner = PlannerNews(True, "the one before")
        stack.ticks(0.5)
        stack.planner = PlannerNews(True, TASK.sentence)
        stack.ticks(0.5)


def test_a_person_who_takes_over_keeps_the_robot():
    stack = driving()
    stack.gate = GateNews(GateWord.ACTIVE, "teleop")
    assert stack.end().end is End.HELD
    assert stack.selected == []


def test_a_sentence_that_the_planner_does_not_take_is_said_thrice_and_nobody_drives_by_another():
    stack = MadeStack("")
    stack.hears = False
    stack.planner = PlannerNews(True, "the one before", "refused")
    ended = stack.end()
    assert (ended.end, stack.said, stack.selected) == (End.NOT_READY, SETTINGS.sayings, [""])
    assert ended.text.endswith("said 3 times: refused")


@pytest.mark.parametrize("kind", [PlannerNews, ControllerNews, GateNews])
def test_a_node_that_falls_silent_ends_the_task_and_is_named(kind):
    stack = driving()
    stack.silent = {kind}
    ended = stack.end()
    name = {PlannerNews: "planner", ControllerNews: "controller", GateNews: "command_gate"}[kind]
    assert ended.end is End.NOT_READY
    assert f"node '{name}' for 2.0 s" in ended.text
    assert stack.selected == [""]


def test_cancelling_waits_until_the_gate_holds_and_says_so_when_it_does_not_answer():
    stack = driving()
    assert stack.end(canceled=True) == Ended(End.CANCELED, "the client cancelled", pytest.approx(0.45, abs=0.1))
    for misbehave in ({"answers": False}, {"refusal": "no"}):
        stack = driving()
        vars(stack).update(misbehave)
        ended = stack.end(canceled=True)
        assert ended.end is End.CANCELED
        assert "may go on moving" in ended.warning


def test_a_server_that_stops_lets_go_at_once_and_keeps_an_end_that_was_found():
    stack = driving()
    order = stack.run.abandon(stack.now_s, "stopped")
    assert (order.select, order.ended.end, order.ended.text) == ("", End.NOT_READY, "stopped")
    stack = driving()
    stack.answers = False
    stack.tick(canceled=True)
    assert stack.run.abandon(stack.now_s, "stopped").ended.end is End.CANCELED


@pytest.mark.parametrize(
    ("instruction", "limit_s", "said"),
    [
        ("", 1.0, "is empty"),
        (" \n", 1.0, "is empty"),
        ("x" * 513, 1.0, "513 bytes; at most 512"),
        ("ü" * 257, 1.0, "514 bytes"),
        ("a\tb", 1.0, "control characters"),
        ("go", -0.1, "time_limit_s is -0.1"),
        ("go", float("nan"), "time_limit_s is nan"),
        ("go", float("inf"), "time_limit_s is inf"),
    ],
)
def test_a_goal_that_cannot_be_is_refused_with_what_was_given(instruction, limit_s, said):
    with pytest.raises(TaskRefusedError, match=said) as refusal:
        checked_task(instruction, limit_s, SETTINGS)
    assert refusal.value.end is End.INVALID_GOAL


def test_no_time_limit_is_the_default_one_and_blanks_around_a_sentence_are_not_said():
    assert checked_task(" go ", 0.0, SETTINGS) == Task("go", SETTINGS.default_time_limit_s)


def test_a_goal_begins_only_with_a_whole_stack_that_no_person_drives_or_stopped_and_one_at_a_time():
    for change, end, said in (
        ({"silent": {GateNews}}, End.NOT_READY, "nothing has been heard of the node 'command_gate'"),
        ({"controller": ControllerNews(False, 5)}, End.NOT_READY, "the node 'controller' is not active"),
        ({"gate": GateNews(GateWord.INACTIVE, POLICY)}, End.NOT_READY, "the node 'command_gate' is not active"),
        ({"gate": GateNews(GateWord.ACTIVE, "teleop")}, End.NOT_READY, "'teleop' drives"),
        ({"gate": GateNews(GateWord.STOPPED, POLICY, "a person")}, End.HELD, "STOPPED: a person; .*reset"),
    ):
        stack = MadeStack()
        vars(stack).update(change)
        stack.view = StackView(SETTINGS.state_timeout_s)
        stack.tell()
        with pytest.raises(TaskRefusedError, match=said) as refusal:
            check_ready(stack.view, stack.now_s)
        assert refusal.value.end is end
    for source in ("", POLICY):
        stack = MadeStack(source)
        check_ready(stack.view, stack.now_s)
        with pytest.raises(TaskRefusedError, match="'planner' for 3.0 s"):
            check_ready(stack.view, stack.now_s + 3.0)
    check_free(None)
    with pytest.raises(TaskRefusedError, match="another goal is being executed: 'lift the can'"):
        check_free(TASK)


def test_the_server_takes_the_sentences_that_the_planner_takes():
    nodes = {node.name: node for node in NODES}
    defaults = {settings_type(nodes[name])().max_instruction_bytes for name in ("planner", "task_server")}
    assert len(defaults) == 1
    shipped = {
        line.split("#")[0]
        for name in ("planner", "task_server")
        for line in parameter_files("gr1", "mujoco", name)[0].read_text().splitlines()
        if "max_instruction_bytes" in line
    }
    assert len({line.strip() for line in shipped}) == 1
