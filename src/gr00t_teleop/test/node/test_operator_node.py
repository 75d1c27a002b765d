# SPDX-License-Identifier: Apache-2.0
"""The node ``operator`` over DDS, with a headset that speaks the real protocol."""

import asyncio
import time

import numpy as np
from fake_headset import FakeHeadset, frame
from operator_scene import wait_until

from gr00t_teleop.operator_message import state_from_message
from gr00t_teleop.types import tracked

CODE = "271828"


def test_what_the_headset_sends_is_published_and_read_back_the_same(scene, tmp_path):
    node = scene.operator(device="webxr", port=0, pairing_code=CODE, certificate_folder=str(tmp_path))
    assert node.start()
    assert wait_until(lambda: node.count_subscribers("operator_state"))

    async def session():
        async with FakeHeadset(node._device.port, CODE, str(tmp_path / "certificate.pem")) as headset:
            assert headset.answer == {"type": "accepted"}
            begin = time.monotonic()
            while len(scene.heard) < 30 and time.monotonic() < begin + 10:
                t = time.monotonic() - begin
                made = frame(t, sequence=int(t * 1000) + 1)
                made[9] = 0.0  # the left hand's fingers are not seen
                await headset.send(made)
                await asyncio.sleep(0.01)

    asyncio.run(session())
    states = [state_from_message(message) for message in scene.heard]
    assert len(states) >= 30
    assert all(tracked(state.left_wrist) and tracked(state.right_hand).all() for state in states)
    assert not any(tracked(state.left_hand).any() for state in states)
    assert scene.heard[0].left_hand.names == [] and len(scene.heard[0].right_hand.names) == 25
    now_ns = node.now_ns
    assert all(0 <= now_ns - state.stamp_ns < 60e9 for state in states)
    assert (np.diff([state.sequence for state in states]) > 0).all()
    assert states[-1].source == "webxr" and states[-1].frame == "operator"


def test_nothing_is_published_and_the_port_is_free_after_deactivation(scene, tmp_path):
    node = scene.operator(device="webxr", port=0, pairing_code=CODE, certificate_folder=str(tmp_path))
    assert node.start()
    device = node._device
    assert device.is_running
    node.trigger_deactivate()
    assert not device.is_running
    node.trigger_activate()
    assert wait_until(lambda: device.is_running)


def test_a_port_in_use_fails_the_activation(scene, tmp_path):
    first = scene.operator(device="webxr", port=0, certificate_folder=str(tmp_path))
    assert first.start()
    second = scene.operator(device="webxr", port=first._device.port, certificate_folder=str(tmp_path))
    assert not second.start()
