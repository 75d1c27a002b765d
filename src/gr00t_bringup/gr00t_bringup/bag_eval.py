# SPDX-License-Identifier: Apache-2.0
"""``gr00t eval --bag BAG...``: a checkpoint against recordings, without robot and without ROS running."""

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gr00t_bringup.data_convert import all_parts
from gr00t_bringup.json_file import write_json
from gr00t_bringup.nodes import shipped_checkpoint
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.runtime.config import ENGINES, PRECISIONS

if TYPE_CHECKING:
    from gr00t_bringup.bag_evaluation.judge import Judgement

_STYLES = {"error": "bold red", "warning": "yellow", "good": "bold green", "note": "dim"}
_PIPE_WIDTH = 160  # where there is no terminal to ask


@dataclass(frozen=True)
class BagEvalConfig:
    """Which checkpoint on which recordings. Nothing moves. Exit code 0: no verdict is an error; 1: one is."""

    bag: tuple[Path, ...]
    """bags (rosbag2, MCAP), or folders of them; of the checkpoint's robot"""
    checkpoint: Path | None = None
    """checkpoint folder; default: the one shipped in models/"""
    embodiment: str = ""
    """robot the checkpoint is for: of a released one by name (gr1 unless said otherwise); else that of the checkpoint"""
    tokenizer: Path | None = None
    """folder of the tokenizer, for a released checkpoint that has none"""
    sentence: str = ""
    """what the robot was told, where a bag does not say"""
    other_sentence: str = ""
    """said instead of it, to see whether that matters; default: another bag's, or one of the simulator's tasks"""
    latency: str = "auto"
    """from picture to tokens: zero, constant:SECONDS, measured (in the bags), measured:FILE (JSON of `gr00t bench loop`);
    auto: measured in the bags, and constant:0.1 where they were recorded without a policy"""
    out: Path = Path("out/bag_eval")
    """folder for report.html and evaluation.json"""
    json: Path | None = None
    """write the figures here instead of evaluation.json"""
    film: bool = True
    """put a film of the first bag into the report"""
    engine: str = "auto"
    """what runs the network: 'openvino' (as on the robot), 'torch', or 'auto': torch for GR00T N1, also fine-tuned"""
    precision: str = "int8"
    """precision of the head in the openvino engine"""
    noise_scale: float = 0.0
    """scale of the flow's starting noise; 0: its centre, as on the robot"""
    seed: int = 0
    """seed of the noise and of the latencies"""
    planner_hz: float = 10.0
    """rate of the planner"""
    control_hz: float = 120.0
    """rate of the controller"""
    head_hz: float = 0.0
    """evaluations of the head a second; 0: one in every tick of the controller"""
    probes: int = 24
    """moments of each bag at which picture, sentence and joint state are replaced"""
    state_topic: str = "joint_states"
    """joint states; without a leading slash in any namespace"""
    action_topic: str = "joint_trajectory"
    """commands to compare with (JointTrajectory of one point, or JointState); where absent, the recorded positions are"""
    language_topic: str = "language_command"
    """sentences"""
    cameras: tuple[str, ...] = ()
    """NAME=TOPIC of a camera that is not on camera/NAME/image_raw"""

    def __post_init__(self) -> None:
        if not self.bag:
            raise ConfigError("--bag needs at least one bag")
        if self.engine not in ENGINES:
            raise ConfigError(f"engine '{self.engine}' is unknown; choose one of: {', '.join(ENGINES)}")
        if self.precision not in PRECISIONS:
            raise ConfigError(f"precision '{self.precision}' is unknown; choose one of: {', '.join(PRECISIONS)}")
        if not 0 <= self.noise_scale <= 1:
            raise ConfigError(f"noise_scale must be from 0 to 1, got {self.noise_scale}")
        if self.seed < 0:
            raise ConfigError(f"seed must not be negative, got {self.seed}")
        if self.probes < 2:
            raise ConfigError(f"probes must be at least 2, got {self.probes}: a moment is compared with another")
        if not (0.1 <= self.planner_hz <= 60 and 10 <= self.control_hz <= 500 and 0 <= self.head_hz <= self.control_hz):
            raise ConfigError(
                f"planner_hz must be from 0.1 to 60, control_hz from 10 to 500, head_hz from 0 to control_hz: "
                f"{self.planner_hz}, {self.control_hz}, {self.head_hz}"
            )
        if not all(all_parts(item) for item in self.cameras):
            raise ConfigError(f"--cameras takes NAME=TOPIC, got: {' '.join(self.cameras)}")


def run(config: BagEvalConfig) -> int:
    """Play, compare, print the verdicts, write report and JSON. Returns the exit code. Raises Gr00tError."""
    from gr00t_bringup.bag_evaluation.judge import as_data, judge
    from gr00t_bringup.bag_evaluation.recorded_run import open_run
    from gr00t_bringup.bag_evaluation.token_latency import token_latency
    from gr00t_bringup.bag_evaluation.training_range import training_range
    from gr00t_policy.data.convert_source import TopicNames, find_bags
    from gr00t_policy.model.checkpoint import load_checkpoint
    from gr00t_policy.runtime.backends import default_cache, load_backend
    from gr00t_policy.runtime.policy import Gr00tPolicy

    folder = config.checkpoint or shipped_checkpoint()
    checkpoint = load_checkpoint(folder, config.embodiment or None, tokenizer=config.tokenizer)
    cameras = dict(item.split("=", 1) for item in config.cameras)
    names = TopicNames(config.state_topic, config.action_topic, config.language_topic, cameras)
    runs = [open_run(bag, checkpoint.embodiment, names, config.sentence) for bag in find_bags(config.bag)]
    latency = token_latency(config.latency, runs, names)
    backend = load_backend(checkpoint, config.engine, config.precision, default_cache(Path.home()))
    policy = Gr00tPolicy(checkpoint, backend, config.seed, config.noise_scale)
    noisy = Gr00tPolicy(checkpoint, backend, config.seed, noise_scale=1.0)
    judgement = judge(
        runs,
        policy,
        latency,
        _settings(config),
        noisy,
        training_range(checkpoint.statistics, checkpoint.embodiment),
        config.other_sentence,
        lambda text: print(f"{text} ...", flush=True),
    )
    about = {"checkpoint": str(folder), "checkpoint_hash": checkpoint.hash, "embodiment": checkpoint.embodiment.name}
    result = {**about, "settings": _plain(asdict(config)), **as_data(judgement)}
    _print(result)
    write_json(config.json or config.out / "evaluation.json", result)
    print(config.json or config.out / "evaluation.json")
    print(_write_report(config, judgement, result))
    return 0 if result["ok"] else 1


def _write_report(config: BagEvalConfig, judgement: "Judgement", result: dict[str, Any]) -> Path:
    from gr00t_bringup.bag_evaluation.page import report_page
    from gr00t_bringup.bag_evaluation.prediction_film import film_predictions

    config.out.mkdir(parents=True, exist_ok=True)
    report, found = config.out / "report.html", judgement.findings
    with tempfile.TemporaryDirectory(dir=config.out) as folder:
        film = Path(folder) / "film.mp4"
        shown = config.film and film_predictions(found.runs[0], found.aligned[0], film) > 0
        report.write_text(report_page(judgement, result, film if shown else None), encoding="utf-8")
    return report


def _settings(config: BagEvalConfig) -> Any:
    """Of both loops; the simulator's still scenes must not look like a frozen camera, and its joint states may stutter."""
    from gr00t_bringup.bag_evaluation.replay import ReplaySettings
    from gr00t_planner.config import PlannerConfig
    from gr00t_policy.runtime.config import ControllerConfig

    return ReplaySettings(
        planner=PlannerConfig(frozen_images=0, rate_hz=config.planner_hz),
        controller=ControllerConfig(
            rate_hz=config.control_hz,
            seed=config.seed,
            noise_scale=config.noise_scale,
            joint_state_timeout_s=0.1,
        ),
        head_hz=config.head_hz or None,
        seed=config.seed,
        probes=config.probes,
    )


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, tuple):
            return [plain(item) for item in value]
        return str(value) if isinstance(value, Path) else value

    return {key: plain(value) for key, value in values.items()}


def _print(result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = Console()
    out = terminal if terminal.is_terminal else Console(width=_PIPE_WIDTH)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("group", "joints moved", "policy", "hold", "mean", "first step", "last step", "normalised"):
        table.add_column(name, justify="left" if name == "group" else "right")
    for group, entry in result["errors"].items():
        if "policy" in entry:
            steps = entry["policy"]["mae_rad_by_step"]
            values = [entry[name]["mae_rad"] for name in ("policy", "hold", "mean")]
            cells = [f"{value:.4f}" for value in (*values, steps[0], steps[-1])]
            table.add_row(
                group, f"{entry['moving']} of {entry['joints']}", *cells, f"{entry['policy']['normalised']:.2f}"
            )
    out.print(Text("mean absolute error [rad] over the joints that were moved", style="bold"))
    out.print(table)
    out.print(Text(f"picture to tokens: {result['latency']['origin']}"))
    for verdict in result["verdicts"]:
        severity = verdict["severity"]
        out.print(
            Text(f"{severity:<8}", style=_STYLES[severity]).append(verdict["sentence"], style="default"), soft_wrap=True
        )
