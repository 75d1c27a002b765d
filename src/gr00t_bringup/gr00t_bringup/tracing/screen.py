# SPDX-License-Identifier: Apache-2.0
"""A trace as a report for people."""

from gr00t_bringup.inspection.report import Grid, Report
from gr00t_bringup.tracing.chain import AGES, HOPS, Span
from gr00t_bringup.tracing.distribution import Figures
from gr00t_bringup.tracing.leads import leads_to_text
from gr00t_bringup.tracing.periods import StreamFigures
from gr00t_bringup.tracing.trace import Trace

_PAUSES_SHOWN = 3
# What the controller measures itself, up to the begin of its sending: (figure, percentile, field of its state).
_COMPARED = (
    ("joint_state_to_policy", "p50", "joint_state_to_command_p50_s"),
    ("joint_state_to_policy", "p99", "joint_state_to_command_p99_s"),
    ("image_to_policy", "p50", "image_to_command_p50_s"),
    ("image_to_policy", "p95", "image_to_command_p95_s"),
    ("inference", "p50", "head_p50_s"),
    ("inference", "p99", "head_p99_s"),
)


def trace_report(trace: Trace) -> Report:
    """Tables of streams, ages and hops, and notes on what could not be computed."""
    report = Report("trace", str(trace.bag.folder))
    report.verdict = f"trace of {trace.bag.folder}: {trace.duration_s:.1f} s"
    report.facts = _facts(trace)
    grids = [
        _streams(trace),
        _spans("ages of the data behind a command [ms]", AGES, trace),
        _spans("where the time goes [ms]", HOPS, trace),
        _compared(trace),
    ]
    report.grids = [grid for grid in grids if grid.rows]
    return report


def _facts(trace: Trace) -> list[tuple[str, str]]:
    facts = []
    if trace.chain.evaluations_s[0]:
        facts.append(("head", f"{trace.chain.head_rate_hz:.1f} Hz by chunk_id"))
    if trace.counted.ticks:
        counted = f"{trace.counted.misses} of {trace.counted.ticks} due in the bag, by the controller's own count"
        facts.append(("missed commands", counted))
    facts.extend(leads_to_text(trace.leads))
    if trace.unanswered:
        facts.append(("unanswered", f"{trace.unanswered} commands of the policy without one of the gate for 0.5 s"))
    if trace.chain.clock.translated:
        facts.append(("clock", "stamps are of another clock than the recording; they were placed by the joint states"))
    for topic, figures in trace.streams().items():
        if figures.pauses:
            shown = [f"{pause.length_s:.2f} s at {pause.at_s:.1f} s" for pause in figures.pauses[:_PAUSES_SHOWN]]
            more = len(figures.pauses) - len(shown)
            facts.append((f"pauses of {topic}", ", ".join(shown) + (f" and {more} more" if more else "")))
        if figures.clock_set_back:
            facts.append((f"clock of {topic}", f"was set back {figures.clock_set_back} times"))
    return [*facts, *_not_computed(trace)]


def _not_computed(trace: Trace) -> list[tuple[str, str]]:
    """One line for each reason, with all that it makes impossible."""
    named = {span.key: span.title for span in (*AGES, *HOPS)}
    missing = trace.missing()
    return [
        ("not computed", f"{why}: {'; '.join(named[key] for key, each in missing.items() if each == why)}")
        for why in dict.fromkeys(missing.values())
    ]


def _streams(trace: Trace) -> Grid:
    header = ("stream", "messages", "rate [Hz]", "nominal", "p50 [ms]", "p95", "p99", "max", "misses", "lost")
    rows = [_stream(topic, figures) for topic, figures in sorted(trace.streams().items()) if figures.count]
    return Grid("streams: period between two messages, as sent", header, rows)


def _stream(topic: str, figures: StreamFigures) -> tuple[str, ...]:
    period = figures.period_ms
    nominal = "-" if figures.nominal_hz is None else f"{figures.nominal_hz:g}"
    misses = "-" if figures.misses is None else f"{figures.misses} ({figures.missed_periods} periods)"
    lost = "-" if figures.lost is None else str(figures.lost)
    return (topic, str(figures.count), _ms(figures.rate_hz), nominal, *_four(period), misses, lost)


def _spans(title: str, spans: tuple[Span, ...], trace: Trace) -> Grid:
    header = ("", "count", "mean", "p50", "p95", "p99", "max")
    rows = []
    for span in spans:
        figures = trace.chain.spans[span.key].figures()
        if figures.count:
            rows.append((span.title, str(figures.count), _ms(figures.mean), *_four(figures)))
    return Grid(title, header, rows)


def _compared(trace: Trace) -> Grid:
    rows: list[tuple[str, ...]] = []
    for key, percentile, name in _COMPARED if trace.said is not None else ():
        assert trace.said is not None
        ours = getattr(trace.chain.spans[key].figures(), percentile)
        rows.append((f"{key} {percentile}", _ms(ours), _ms(1e3 * trace.said.figures[name])))
    return Grid("beside controller/state, which looks at its last seconds [ms]", ("", "bag", "controller"), rows)


def _four(figures: Figures) -> tuple[str, ...]:
    return (_ms(figures.p50), _ms(figures.p95), _ms(figures.p99), _ms(figures.max))


def _ms(value: float) -> str:
    return "-" if value != value else f"{value + 0.0:.2f}"
