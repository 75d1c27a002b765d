# SPDX-License-Identifier: Apache-2.0
"""What one thread puts another takes, each once and in order, also while more is being put."""

import threading

from gr00t_policy.ros.news import News


def test_news_are_taken_once_and_in_order():
    news = News[int]()
    for number in range(5):
        news.put(number)
    assert list(news.take()) == [0, 1, 2, 3, 4]
    assert list(news.take()) == []


def test_two_threads_lose_nothing_and_mix_nothing_up():
    news, taken, done = News[int](), [], threading.Event()

    def put() -> None:
        for number in range(20_000):
            while len(news._waiting) > 200:
                pass
            news.put(number)
        done.set()

    thread = threading.Thread(target=put)
    thread.start()
    while not done.is_set():
        taken += news.take()
    thread.join()
    taken += news.take()
    assert taken == list(range(20_000))


def test_when_nobody_takes_them_the_oldest_are_lost_and_memory_does_not_grow():
    news = News[int]()
    for number in range(10_000):
        news.put(number)
    kept = list(news.take())
    assert kept == list(range(10_000 - len(kept), 10_000)) and len(kept) < 1000
