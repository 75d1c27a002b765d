# SPDX-License-Identifier: Apache-2.0
"""The node ``controller`` with staggered chunks over real DDS: it drives, and tells how old what it answers is."""

from test_controller_node import PATIENT, RATE_HZ, Bench, checkpoint, context

__all__ = ["checkpoint", "context"]  # fixtures


def test_a_staggered_controller_drives_and_tells_that_its_commands_answer_joint_states_of_three_ticks_ago(
    context, checkpoint
):
    bench = Bench(context, checkpoint, staggered=True)
    try:
        bench.until_running()
        bench.until(lambda: bench.state().joint_state_to_command_p50_s >= 3 / RATE_HZ, "commands of staggered chunks")
        assert bench.state().joint_state_to_command_p50_s < 3 / RATE_HZ + PATIENT["joint_state_timeout_s"]
        assert bench.state().head_rate_hz > RATE_HZ / 3
    finally:
        bench.close()
