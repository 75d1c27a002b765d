# SPDX-License-Identifier: Apache-2.0
"""What one thread puts another takes, each once and in order, also while more is being put."""

import threading
import time

from gr00t_policy.ros.news import News, Teller


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


def test_a_teller_is_woken_by_what_is_put_and_tells_it_in_order():
    news, told, woken_s = News[int](), [], []
    heard = threading.Event()

    def tell(number: int) -> None:
        told.append(number)
        woken_s.append(time.monotonic())
        heard.set()

    teller = Teller(news, tell)
    teller.start()
    delays_s = []
    for number in range(50):
        heard.clear()
        time.sleep(0.002)
        put_s = time.monotonic()
        news.put(number)
        assert heard.wait(2.0)
        delays_s.append(woken_s[-1] - put_s)
    teller.stop()
    assert told == list(range(50))
    assert sorted(delays_s)[25] < 0.02, "it does not wait for a time to look"
    assert teller.failure is None and not teller._thread.is_alive()


def test_a_teller_that_is_stopped_tells_what_was_put_before_and_ends_at_once():
    news, told = News[int](), []
    teller = Teller(news, told.append)
    for number in range(100):
        news.put(number)
    teller.start()
    began_s = time.monotonic()
    teller.stop()
    assert told == list(range(100)) and time.monotonic() - began_s < 0.5
    teller.stop()
    idle = Teller(News[int](), told.append)
    idle.start()
    time.sleep(0.05)  # it waits by now
    began_s = time.monotonic()
    idle.stop()
    assert time.monotonic() - began_s < 0.5


def test_a_telling_that_hangs_keeps_neither_who_puts_nor_who_stops():
    news, going_on = News[int](), threading.Event()
    teller = Teller(news, lambda _: going_on.wait(10.0))
    teller.start()
    began_s = time.monotonic()
    for number in range(2000):
        news.put(number)
    teller.stop(timeout_s=0.1)
    assert time.monotonic() - began_s < 1.0
    going_on.set()


def test_a_telling_that_fails_is_known_to_the_owner():
    news = News[int]()
    teller = Teller(news, lambda number: 1 // number)
    teller.start()
    news.put(0)
    teller.stop()
    assert isinstance(teller.failure, ZeroDivisionError)
