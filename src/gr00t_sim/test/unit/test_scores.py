# SPDX-License-Identifier: Apache-2.0
"""Scores: intervals that agree with what is published, every episode counted once, the same for any order."""

import json
import random

import numpy as np
import pytest
from made_results import made_result, made_results

from gr00t_sim.evaluation.scores import average95, stages, summarise
from gr00t_sim.interval import wilson95


def test_wilson_interval_agrees_with_the_published_formula():
    np.testing.assert_allclose(wilson95(80, 100), (0.71117, 0.86663), atol=1e-5)
    assert wilson95(0, 10)[0] == pytest.approx(0.0) and wilson95(10, 10)[1] == pytest.approx(1.0)


def test_scores_have_the_published_keys():
    results = [
        result for language in ("own", "other", "empty") for result in made_results((True, False), language=language)
    ]
    scores = summarise(["choose_bin"], results)
    assert scores["average_success"] == 0.5
    entry = scores["tasks"]["choose_bin"]
    assert (entry["success_rate"], entry["episodes"], len(entry["wilson95"])) == (0.5, 2, 2)
    assert entry["other"]["episodes"] == entry["empty"]["episodes"] == 2
    assert entry["per_object"]["red can"]["episodes"] == 2


def test_scores_do_not_depend_on_the_order_in_which_episodes_ended():
    results = made_results([True, False, True] * 4) + made_results([False] * 5, task="pick_named_object")
    shuffled = random.Random(1).sample(results, len(results))
    tasks = ["choose_bin", "pick_named_object"]
    assert json.dumps(summarise(tasks, results)) == json.dumps(summarise(tasks, shuffled))


def test_every_episode_is_in_exactly_one_stage():
    results = [made_result(seed, success=False, progress=seed / 20) for seed in range(20)] + made_results([True] * 3)
    found = stages(results)
    assert sum(stage["episodes"] for stage in found) == len(results)
    assert sum(stage["share"] for stage in found) == pytest.approx(1.0)
    assert found[-1]["stage"] == "success" and found[-1]["episodes"] == 3
    for stage in found[:-1]:
        assert stage["episodes"] == sum(stage["from"] - 1e-9 <= seed / 20 < stage["to"] - 1e-9 for seed in range(20))


def test_a_stage_is_told_in_the_referees_commonest_words_whatever_the_numbers():
    texts = ["hand 12 cm from red can", "hand 7 cm from red can", "red can lifted"]
    results = [made_result(seed, success=False, progress=0.3, said=text) for seed, text in enumerate(texts)]
    assert stages(results)[0]["said"] == "hand N cm from red can"


def test_the_interval_of_one_task_is_that_of_its_average_and_more_tasks_narrow_it():
    one = average95([(8, 10)])
    assert one is not None and one == pytest.approx(wilson95(8, 10), abs=1e-4)
    four = average95([(8, 10)] * 4)
    assert four is not None and four[1] - four[0] == pytest.approx((one[1] - one[0]) / 2, abs=1e-4)


def test_the_interval_of_the_average_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(3)
    truth = np.array([0.9, 0.5, 0.7])
    hits = 0
    for _ in range(1000):
        low, high = average95([(int(rng.binomial(30, rate)), 30) for rate in truth])
        hits += low <= truth.mean() <= high
    assert 0.93 <= hits / 1000 <= 0.975


def test_a_task_without_episodes_does_not_count_in_the_average():
    scores = summarise(["choose_bin", "pick_named_object"], made_results([True, False]))
    assert scores["average_success"] == 0.5 and scores["tasks"]["pick_named_object"] == {}
