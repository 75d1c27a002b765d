# SPDX-License-Identifier: Apache-2.0
"""The screen: says what is known and shows a dash for the rest."""

from gr00t_bringup.status import StackStatus, line, live_display, rows


def test_nothing_known_shows_dashes_not_nan():
    text = line(StackStatus()) + str(rows(StackStatus()))
    assert "nan" not in text
    assert "planner - Hz" in text


def test_the_line_and_the_table_say_the_same_rates():
    status = StackStatus(planner_rate_hz=10.04, control_rate_hz=119.96, progress=0.4, task_detail="hand 5 cm from can")
    assert "planner 10.0 Hz" in line(status)
    values = {row[0]: row[1:] for row in rows(status)}
    assert values["planner"][0] == "10.0 Hz"
    assert values["task"] == ("########............ 40 %", "hand 5 cm from can")


def test_success_is_said_instead_of_the_detail():
    status = StackStatus(success=True, progress=1.0, task_detail="can in bin")
    assert "SOLVED" in line(status)


def test_without_a_terminal_plain_lines_are_printed_and_not_too_many(capsys):
    with live_display("demo") as display:
        for _ in range(20):
            display(StackStatus(gate="hold"))
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1
    assert "gate hold" in printed[0]
