# SPDX-License-Identifier: Apache-2.0
"""What may be set about the node ``controller``."""

from dataclasses import dataclass

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.config import EULER_STEPS
from gr00t_policy.runtime.deployment_profile import PROFILE_HELP, SIM, check_profile
from gr00t_policy.runtime.interpolation import INTERPOLATIONS
from gr00t_policy.runtime.lead_settings import LeadSettings
from gr00t_policy.runtime.loop_settings import time_threshold
from gr00t_policy.runtime.settings import setting

ENGINES = ("auto", "openvino", "onnx", "torch", "cuda_graph")
CPU_ENGINES = ("openvino", "onnx")  # run nowhere else
BLEND_TIME_S = 0.15  # of the robot, of evaluations and of what is measured
UNSTAGGERED = ("onnx",)  # cannot make single Euler steps
PRECISIONS = ("int8", "bf16", "fp32")  # of the OpenVINO engine
PARTS = ("encoder", "head")
FLOAT8 = "float8"  # of the head's matrices alone
DTYPES = ("auto", "float32", "bfloat16", FLOAT8)
DEVICES = ("auto", "cpu", "cuda")
# The settings that planner and controller share, in the words of both.
ENGINE_HELP = (
    "what runs the network: 'openvino' (fast on a CPU), 'onnx' (what `gr00t export` wrote), 'torch' (plain), 'cuda_graph' "
    "(torch, replayed on a GPU), or 'auto': for GR00T N1, also fine-tuned, cuda_graph (torch where it is refused), torch without "
    "a GPU; else openvino"
)
TOKENIZER_HELP = (
    "folder of the tokenizer, for a released checkpoint that has none; empty: it lies in the checkpoint folder"
)
DTYPE_HELP = (
    "number format of the engines torch and cuda_graph: 'float32', 'bfloat16', 'float8' (of the head's matrices), or 'auto': "
    "bfloat16 for GR00T N1, also fine-tuned"
)
PRECISION_HELP = "number format of the openvino engine: 'int8', 'bf16' (CPUs that have it) or 'fp32'; checked at start"
FALLBACK_HELP = "an engine whose answers are not those of the plain network is replaced by plain torch; false: refused"
EXPORTED_HELP = "for engine 'onnx': the folder that `gr00t export` wrote"
COMPILED_HELP = "engine 'cuda_graph': kernels are fused by torch.compile first, at a start that takes minutes"
THREADS_HELP = "threads of the torch engine on a CPU; 0: half of the cores, since planner and controller share them"
DEVICE_HELP = (
    "where the engines torch and cuda_graph run: 'cpu', 'cuda' (refused with openvino and onnx, which run on the CPU), or "
    "'auto': a GPU, if any, for GR00T N1, also fine-tuned"
)
CHUNK_MODES = ("blend", "switch", "ensemble", "rtc")
CHUNK_MODE_HELP = (
    "how chunks become one motion: 'blend', 'switch' (the newest alone), 'ensemble' (mean of all, as ACT), "
    "'rtc' (computed to continue the last one, as real-time chunking)"
)
INTERPOLATION_HELP = "between the steps of a chunk: 'linear', or 'smooth', a curve whose velocity has no steps"
HEAD_MODES = ("auto", "every_tick", "worker")


def check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    """Raises ConfigError unless ``value`` is one of ``known``."""
    if value not in known:
        raise ConfigError(f"parameter '{name}' is '{value}'; choose one of: {', '.join(known)}")


@dataclass(frozen=True)
class ControllerConfig(LeadSettings):
    """Settings of the controller. The ages are those of the ladder of safety states: a joint state of a robot at 120 Hz or more
    is worth holding for after 50 ms, tokens of a planner at 10 Hz after three periods.
    """

    autostart: bool = setting(False, "configure and activate by itself after start")
    checkpoint: str = setting("", "folder of the policy's checkpoint")
    tokenizer: str = setting("", TOKENIZER_HELP)
    embodiment: str = setting("gr1", "robot the checkpoint must be for")
    profile: str = setting(SIM, PROFILE_HELP)
    engine: str = setting("auto", ENGINE_HELP)
    dtype: str = setting("auto", DTYPE_HELP)
    device: str = setting("auto", DEVICE_HELP)
    threads: int = setting(0, THREADS_HELP, "", 0, 256)
    precision: str = setting("int8", PRECISION_HELP)
    engine_fallback: bool = setting(False, FALLBACK_HELP)
    exported: str = setting("", EXPORTED_HELP)
    compiled: bool = setting(False, COMPILED_HELP)
    steps: int = setting(0, "Euler steps of the head: 1, 2, 4, 8 or 16; 0: the checkpoint's", "", 0, 16)
    cache_folder: str = setting(
        "", "where compiled networks are kept between starts; empty: in the user's cache folder"
    )
    head_mode: str = setting(
        "auto", "'every_tick', 'worker', or 'auto': every tick when the head is fast enough for it"
    )
    every_tick_share: float = setting(
        0.8, "share of a tick that the head's median may take in every tick", "", 0.1, 1.0
    )
    warm_up_evaluations: int = setting(30, "evaluations of the head before activation", "", 1, 1000)
    seed: int = setting(0, "seed of the flow-matching noise, drawn once per activation", "", 0, 2**31 - 1)
    noise_scale: float = setting(0.0, "size of the noise; 0: the flow's centre, 1: as trained", "", 0.0, 1.0)
    chunk_mode: str = setting("blend", CHUNK_MODE_HELP)
    interpolation: str = setting("linear", INTERPOLATION_HELP)
    staggered: bool = setting(
        False,
        "one pass per tick makes an Euler step of each of several chunks and finishes one: weights are read once, observations "
        "are steps - 1 ticks old",
    )
    compensate_latency: bool = setting(
        False, "the head is given the pose in which the robot will be when its chunk is there, by the delay measured"
    )
    blend_time_s: float = setting(
        BLEND_TIME_S, "memory of the plan that new chunks are blended into, in mode 'blend'", "s", 0.0, 2.0
    )
    chunk_rate_hz: float = setting(
        20.0, "highest rate of action_chunk, beside the first chunk from each tokens", "Hz", 0.1, 20.0
    )
    thread_priority: int = setting(60, "SCHED_FIFO priority of the control loop where allowed; 0: none", "", 0, 90)
    process_priority: int = setting(
        50, "SCHED_FIFO priority of the node's other threads when the head runs in every tick; 0: none", "", 0, 89
    )
    token_warn_s: float = setting(0.2, "time without new tokens that is worth a warning", "s", 0.05, 60.0)
    token_hold_s: float = setting(0.3, "time without new tokens after which nothing is commanded", "s", 0.05, 60.0)
    token_max_age_s: float = setting(0.5, "age of the tokens' image from which nothing is commanded", "s", 0.05, 60.0)
    joint_state_timeout_s: float = setting(
        0.05, "age of the joint state from which nothing is commanded", "s", 0.01, 1.0
    )
    chunk_max_age_s: float = setting(
        0.25, "age of the joint state behind the newest chunk from which nothing is commanded", "s", 0.02, 60.0
    )
    max_future_s: float = setting(0.1, "how far a stamp may lie ahead of the clock", "s", 0.0, 1.0)
    healthy_s: float = setting(0.1, "how long all inputs must be good before commands resume", "s", 0.0, 5.0)

    execution_mean_warn_us: float = time_threshold(6700.0, "mean_error", "warn")
    execution_mean_error_us: float = time_threshold(8300.0, "mean_error", "error")
    execution_deviation_warn_us: float = time_threshold(1500.0, "standard_deviation", "warn")
    execution_deviation_error_us: float = time_threshold(3000.0, "standard_deviation", "error")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("engine", self.engine, ENGINES)
        check_choice("dtype", self.dtype, DTYPES)
        check_choice("device", self.device, DEVICES)
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("steps", str(self.steps), ("0", *map(str, EULER_STEPS)))
        check_choice("head_mode", self.head_mode, HEAD_MODES)
        check_choice("chunk_mode", self.chunk_mode, CHUNK_MODES)
        check_choice("interpolation", self.interpolation, INTERPOLATIONS)
        if self.staggered and self.chunk_mode == "rtc":
            raise ConfigError(
                "chunk_mode 'rtc' computes each chunk to continue the last one, which is not there yet when a staggered chunk "
                "begins; set staggered to false or choose another mode"
            )
        if self.staggered and self.head_mode == "worker":
            raise ConfigError("staggered chunks advance with the ticks; set head_mode to 'every_tick' or 'auto'")
        if self.staggered and self.engine in UNSTAGGERED:
            raise ConfigError(f"engine '{self.engine}' has no graph for staggered chunks; choose another one")
        check_profile(self, _AGES)
        if not self.token_warn_s <= self.token_hold_s <= self.token_max_age_s:
            raise ConfigError(
                f"token_warn_s {self.token_warn_s}, token_hold_s {self.token_hold_s} and token_max_age_s "
                f"{self.token_max_age_s} must not descend"
            )
        if 0 < self.thread_priority <= self.process_priority:
            raise ConfigError(
                f"thread_priority {self.thread_priority} must be above process_priority {self.process_priority}"
            )


_AGES = (
    "token_warn_s",
    "token_hold_s",
    "token_max_age_s",
    "joint_state_timeout_s",
    "chunk_max_age_s",
    "max_future_s",
)
