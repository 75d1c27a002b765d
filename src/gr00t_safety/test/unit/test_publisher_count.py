# SPDX-License-Identifier: Apache-2.0
"""The number of publishers: events count at once, the graph corrects downwards only, and not on its first word."""

from gr00t_safety.publisher_count import PublisherCount


def counted(*events: int) -> PublisherCount:
    made = PublisherCount()
    for count in events:
        made.event(count)
    return made


def test_an_event_counts_at_once():
    assert counted(1, 2).count == 2
    assert counted(1, 2, 1).count == 1


def test_a_publisher_that_left_without_an_event_is_forgotten_when_the_graph_says_so_twice():
    there = counted(1, 2)
    assert not there.graph(1) and there.count == 2
    assert there.graph(1) and there.count == 1


def test_the_graph_is_not_believed_when_it_changes_its_word():
    there = counted(1, 2)
    assert not any(there.graph(count) for count in (1, 2, 1, 2))
    assert there.count == 2


def test_the_graph_adds_nobody():
    there = counted(1)
    assert not any(there.graph(3) for _ in range(10))
    assert there.count == 1


def test_an_event_starts_the_doubt_anew():
    there = counted(2)
    there.graph(1)
    there.event(2)
    assert not there.graph(1) and there.count == 2
