# SPDX-License-Identifier: Apache-2.0
"""The command ``gr00t <verb>``: finds the verb, reads its options, runs it, turns errors into one line.

A verb is a module with a frozen dataclass of options and a function ``run(config) -> int``. The module is imported only
when its verb is asked for, so that ``gr00t --help`` does not wait for torch. Exit codes: 0 done; 1 the verb ran and the
answer is no (task not solved, something missing); 2 wrong use or an error the user can fix; 130 and 143 interrupted.
"""

import importlib
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType, ModuleType
from typing import Any

from gr00t_policy.core.errors import Gr00tError

EXIT_OK, EXIT_NO, EXIT_ERROR, EXIT_INTERRUPTED = 0, 1, 2, 130


@dataclass(frozen=True)
class Verb:
    """One verb: the words typed, where its options and ``run`` live, and one line of help.

    marker: an option, with or without a value ("--open-loop", "--recipe finetune"), whose presence anywhere among the
    options selects this verb of several with the same words. It stays among the options.
    """

    words: tuple[str, ...]
    module: str
    config: str
    summary: str
    marker: str = ""

    @property
    def name(self) -> str:
        return " ".join((*self.words, self.marker)).strip()

    def marked(self, options: Sequence[str]) -> bool:
        """Whether the marker is among ``options``, as ``--a-b c``, ``--a-b=c`` or with underscores."""
        spelt = [part for option in options for part in _parts(option)]
        wanted = self.marker.split()
        return bool(wanted) and any(spelt[i : i + len(wanted)] == wanted for i in range(len(spelt)))


VERBS = (
    Verb(
        ("demo",), "gr00t_bringup.demo", "DemoConfig", "the whole stack obeys one sentence; leaves video, bag, summary"
    ),
    Verb(
        ("teleop",),
        "gr00t_bringup.teleop",
        "TeleopConfig",
        "a person drives the simulated robot, alone or taking over from a policy, and records episodes",
    ),
    Verb(
        ("sim", "generate"), "gr00t_sim.generate", "GenerateConfig", "write demonstrations of the experts as a dataset"
    ),
    Verb(
        ("sim", "multiply"),
        "gr00t_sim.multiply",
        "MultiplyConfig",
        "many demonstrations from a few: their motions carried over to new scenes",
    ),
    Verb(("sim", "play"), "gr00t_bringup.sim_play", "PlayConfig", "film one episode of a task's expert"),
    Verb(("sim", "experts"), "gr00t_sim.expert_rates", "ExpertsConfig", "how often each task's expert succeeds"),
    Verb(("sim", "scenes"), "gr00t_sim.scenes", "ScenesConfig", "draw still scenes for learning to find what is named"),
    Verb(("train",), "gr00t_bringup.train_recipe", "TrainVerbConfig", "from nothing to a checkpoint, by a recipe"),
    Verb(
        ("train",),
        "gr00t_policy.training.finetune",
        "FinetuneConfig",
        "from a checkpoint and recordings of a robot to a checkpoint for it",
        marker="--recipe finetune",
    ),
    Verb(
        ("train",),
        "gr00t_policy.baseline.train",
        "DiffusionTrainConfig",
        "from demonstrations to a Diffusion Policy, to compare with",
        marker="--recipe diffusion_policy",
    ),
    Verb(
        ("train",),
        "gr00t_policy.training.pretrain",
        "PretrainConfig",
        "one network from a mixture of datasets and robots, streamed",
        marker="--recipe pretrain",
    ),
    Verb(
        ("train",),
        "gr00t_policy.training.posttrain",
        "PosttrainConfig",
        "from a pre-trained checkpoint of ours to one for a single robot",
        marker="--recipe posttrain",
    ),
    Verb(("eval",), "gr00t_sim.evaluate", "EvalConfig", "success rates of a checkpoint in the simulator, without ROS"),
    Verb(
        ("eval",),
        "gr00t_bringup.open_loop",
        "OpenLoopConfig",
        "chunks of a checkpoint against the actions recorded in a dataset",
        marker="--open-loop",
    ),
    Verb(
        ("eval",),
        "gr00t_bringup.bag_eval",
        "BagEvalConfig",
        "a checkpoint against recordings of a robot (bags), with verdicts",
        marker="--bag",
    ),
    Verb(
        ("eval",),
        "gr00t_sim.compare",
        "CompareConfig",
        "two checkpoints on the same scenes: is one better",
        marker="--compare",
    ),
    Verb(
        ("checkpoint", "synth"), "gr00t_bringup.checkpoint_synth", "SynthConfig", "write a release with random weights"
    ),
    Verb(
        ("export",),
        "gr00t_bringup.export_network",
        "ExportConfig",
        "the network as ONNX graphs for other runtimes, checked",
    ),
    Verb(
        ("parity",), "gr00t_bringup.parity", "ParityConfig", "compare the network with another implementation's outputs"
    ),
    Verb(("bench", "loop"), "gr00t_bringup.bench.loop", "LoopConfig", "rates and latencies of the running stack"),
    Verb(
        ("bench", "soak"),
        "gr00t_bringup.bench.soak",
        "SoakConfig",
        "the stack watched for long: memory, handles, misses over time; fails when one grows",
    ),
    Verb(
        ("bench", "seams"),
        "gr00t_bringup.bench.seams",
        "SeamsConfig",
        "ways to execute chunks: how smooth, how successful, how quick to react to a moved object",
    ),
    Verb(
        ("bench", "model"),
        "gr00t_bringup.bench.model",
        "ModelBenchConfig",
        "time and memory of each half of the network, beside a plain path",
    ),
    Verb(
        ("bench", "load"),
        "gr00t_bringup.bench.load",
        "LoadBenchConfig",
        "how long each half of a checkpoint takes to load, and its memory: anonymous and mapped",
    ),
    Verb(
        ("bench", "data"),
        "gr00t_bringup.bench.data",
        "DataBenchConfig",
        "how fast samples of a mixture are read, per core, and in how much memory",
    ),
    Verb(
        ("bench", "tokens"),
        "gr00t_bringup.bench.tokens",
        "TokenBenchConfig",
        "how long tokens take from planner to head: by size, number format, transport, load",
    ),
    Verb(
        ("bench", "record"),
        "gr00t_bringup.bench.record",
        "RecordBenchConfig",
        "the recorder under its rated load: messages lost, cores, queue",
    ),
    Verb(
        ("bench", "convert"),
        "gr00t_bringup.bench.convert",
        "ConvertBenchConfig",
        "bags of the rated load become a dataset: processor time for a recorded second",
    ),
    Verb(
        ("bench", "ik"),
        "gr00t_bringup.bench.ik",
        "IkBenchConfig",
        "random motions of both wrists through inverse kinematics and gate: gaps, contacts, limits",
    ),
    Verb(
        ("bench", "operator"),
        "gr00t_bringup.bench.operator",
        "OperatorBenchConfig",
        "a scripted person with a headset drives: how often a task is done",
    ),
    Verb(
        ("bench", "teleop"),
        "gr00t_bringup.bench.teleop",
        "TeleopBenchConfig",
        "from a headset's sample to the command that the robot obeys",
    ),
    Verb(
        ("inspect",),
        "gr00t_bringup.inspect_path",
        "InspectConfig",
        "what a checkpoint, dataset or bag holds; does it fit",
    ),
    Verb(
        ("trace",),
        "gr00t_bringup.trace",
        "TraceConfig",
        "from a bag: how old the data behind each command is, where the time goes, jitter, misses",
    ),
    Verb(
        ("bag", "play"),
        "gr00t_bringup.bag_play",
        "BagPlayConfig",
        "publish what was recorded at the times it was recorded",
    ),
    Verb(
        ("bag", "recover"),
        "gr00t_bringup.bag_recover",
        "BagRecoverConfig",
        "a whole bag out of one that was cut off; the bag itself is only read",
    ),
    Verb(
        ("data", "check"),
        "gr00t_bringup.data_check",
        "DataCheckConfig",
        "what in a dataset would spoil training: times, joints, cameras, files",
    ),
    Verb(
        ("data", "convert"),
        "gr00t_bringup.data_convert",
        "DataConvertConfig",
        "recordings of a robot (rosbag2, MCAP) as a dataset that trains",
    ),
    Verb(
        ("data", "mixture"),
        "gr00t_bringup.data_mixture",
        "DataMixtureConfig",
        "how often each dataset of a mixture is drawn, whether they belong together; merged statistics",
    ),
    Verb(
        ("data", "view"),
        "gr00t_bringup.data_view",
        "DataViewConfig",
        "an HTML page of an episode: pictures over time, joint curves",
    ),
    Verb(("doctor",), "gr00t_bringup.doctor", "DoctorConfig", "check this machine and say what is missing"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code. arguments: as typed after ``gr00t``; None means ``sys.argv``."""
    typed = list(sys.argv[1:] if arguments is None else arguments)
    verb, rest = _find(typed)
    if verb is None:
        asked_for_help = not typed or any(word in ("-h", "--help") for word in typed)
        print(_help_text(typed), file=sys.stdout if asked_for_help else sys.stderr)
        return EXIT_OK if asked_for_help else EXIT_ERROR
    signal.signal(signal.SIGTERM, _exit_on_sigterm)
    try:
        return _run(verb, rest)
    except Gr00tError as error:
        print(f"gr00t {verb.name}: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print(f"gr00t {verb.name}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _run(verb: Verb, rest: Sequence[str]) -> int:
    try:
        module = importlib.import_module(verb.module)
    except ModuleNotFoundError as error:
        print(
            f"gr00t {verb.name}: Python module '{error.name}' is not installed here; "
            "`gr00t doctor` says what is missing and how to get it",
            file=sys.stderr,
        )
        return EXIT_ERROR
    return int(module.run(_options(verb, module, rest)))


def options_of(command: Sequence[str]) -> Any:
    """What a command line asks for, as the verb's config, without doing it.

    Raises SystemExit where the options cannot be read, Gr00tError where their values are refused.
    """
    verb, rest = _find(command)
    if verb is None:
        raise SystemExit(f"there is no verb in: {' '.join(command)}")
    return _options(verb, importlib.import_module(verb.module), rest)


def _options(verb: Verb, module: ModuleType, rest: Sequence[str]) -> Any:
    import tyro

    prog = f"gr00t {' '.join(verb.words)}"
    args = ["--help"] if {"-h", "--help"} & set(rest) else list(rest)  # also when the marker's value is not there yet
    return tyro.cli(getattr(module, verb.config), prog=prog, args=args, description=_description(verb))


def _find(typed: Sequence[str]) -> tuple[Verb | None, list[str]]:
    verbs = [verb for verb in VERBS if tuple(typed[: len(verb.words)]) == verb.words]
    if not verbs:
        return None, []
    options = list(typed[len(verbs[0].words) :])
    marked = [verb for verb in verbs if verb.marked(options)]
    return (marked or verbs)[0], options


def _parts(option: str) -> list[str]:
    """'--a_b=c' as ['--a-b', 'c']; what is not an option is left as it is."""
    if not option.startswith("--"):
        return [option]
    name, equals, value = option.partition("=")
    return [name.replace("_", "-"), value] if equals else [name.replace("_", "-")]


def _description(verb: Verb) -> str:
    """What this verb does, and those that the same words do with other options."""
    others = [other for other in VERBS if other.words == verb.words and other is not verb]
    return "\n\n".join([verb.summary, *(f"Also: gr00t {other.name} ... --help: {other.summary}" for other in others)])


def _help_text(typed: Sequence[str]) -> str:
    words = [word for word in typed if not word.startswith("-")]
    shown = [verb for verb in VERBS if words and verb.words[0] == words[0]]
    lines = [] if not words or shown else [f"gr00t: there is no verb '{' '.join(words)}'", ""]
    lines += ["usage: gr00t <verb> [options]      (gr00t <verb> --help lists them)", ""]
    width = max(len(verb.name) for verb in VERBS)
    return "\n".join(lines + [f"  {verb.name:<{width}} {verb.summary}" for verb in shown or VERBS])


def _exit_on_sigterm(number: int, frame: FrameType | None) -> None:
    """Leave through the ordinary clean-up, as Ctrl-C does."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
