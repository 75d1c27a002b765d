# SPDX-License-Identifier: Apache-2.0
"""Device time on the receiver's clock: exact without jitter, monotone, honest about delays, recovers from steps."""

import numpy as np

from gr00t_teleop.devices.device_clock import DeviceClock

MS = 1_000_000


def run(delays_ms: np.ndarray, offset_ns: int = 5_000_000_000, period_ms: int = 11) -> np.ndarray:
    """Errors [ms] of the stamps of samples taken every period that arrive after these delays."""
    clock = DeviceClock()
    taken = np.arange(len(delays_ms)) * period_ms * MS
    arrivals = np.maximum.accumulate(taken + (delays_ms * MS).astype(int))
    stamps = [clock.to_receiver_ns(int(t), int(a) + offset_ns) for t, a in zip(taken, arrivals, strict=True)]
    assert (np.diff(stamps) > 0).all() or (np.diff(arrivals) == 0).any()
    assert (np.array(stamps) <= arrivals + offset_ns).all()
    return (np.array(stamps) - offset_ns - taken) / MS


def test_a_constant_delay_is_all_that_stays_unknown():
    assert np.allclose(run(np.full(100, 2.0)), 2.0)


def test_jitter_vanishes_once_a_fast_sample_was_seen():
    delays = np.random.default_rng(1).gamma(1.0, 4.0, 800) + 1.0
    error = run(delays)
    assert np.abs(error[200:] - 1.0).max() < 0.2
    assert delays[200:].max() > 15


def test_samples_held_up_by_the_network_keep_their_true_age():
    delays = np.full(100, 1.0)
    delays[50:70] = 1.0 + 11 * np.arange(20, 0, -1)  # all arrive in one burst
    assert np.abs(run(delays)[50:70] - 1.0).max() < 0.5


def test_a_device_whose_clock_begins_anew_is_dated_by_its_new_clock():
    clock = DeviceClock()
    for i in range(100):
        clock.to_receiver_ns(10**12 + i * 10 * MS, i * 10 * MS)
    assert clock.to_receiver_ns(5, 2000 * MS) == 2000 * MS


def test_a_slow_drift_is_followed():
    """50 ppm for five minutes is 15 ms."""
    clock = DeviceClock(window_s=10.0)
    for i in range(30_000):
        arrival = i * 10 * MS
        stamp = clock.to_receiver_ns(int(arrival * (1 - 50e-6)), arrival)
    assert abs(arrival - stamp) < 0.6 * MS


def test_a_step_of_the_receivers_clock_back_never_dates_a_sample_into_the_future():
    clock = DeviceClock()
    for i in range(100):
        clock.to_receiver_ns(i * 10 * MS, 10**12 + i * 10 * MS)
    assert clock.to_receiver_ns(1000 * MS, 10**11) == 10**11
