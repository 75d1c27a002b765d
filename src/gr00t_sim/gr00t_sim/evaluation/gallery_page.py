# SPDX-License-Identifier: Apache-2.0
"""The gallery as one HTML page: strips are embedded, films lie beside it. Knows nothing about how they were made."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from gr00t_policy.core.html_page import embedded, html_page, scrolling
from gr00t_sim.evaluation.episode import EpisodeResult
from gr00t_sim.evaluation.identity import Identity
from gr00t_sim.rollout import PERIOD_S

_STYLE = """
body { max-width: 1400px; } p { margin: .3rem 0; } h3 { margin: .2rem 0; }
td, th { border-bottom: 1px solid var(--line); padding: .25rem .8rem; text-align: left; } .number { text-align: right; }
article { border: 1px solid var(--line); border-left: 5px solid var(--bad); border-radius: 6px; margin: 1.2rem 0;
padding: .6rem 1rem 1rem; } article.success { border-left-color: var(--good); }
.strip { display: block; width: 100%; min-width: 1000px; } video { width: min(100%, 640px); }
code { display: block; background: #8882; border-radius: 4px; margin: .4rem 0 0; padding: .3rem .6rem; }
code span { display: inline-block; max-width: 100%; }
.warn { color: var(--bad); font-weight: 600; }
"""


@dataclass(frozen=True)
class Shown:
    """One episode on the page. again: how it ended when it was filmed; commands: the lines that play it."""

    result: EpisodeResult
    again: EpisodeResult
    strip: Path
    film: Path | None
    commands: tuple[str, ...]


def page(identity: Identity, scores: Mapping[str, Any], entries: Sequence[Shown], left_out: int) -> str:
    """The whole page. left_out: failures that are not shown."""
    failures = [entry for entry in entries if not entry.result.outcome.success]
    successes = [entry for entry in entries if entry.result.outcome.success]
    more = f" ({left_out} more are not shown: --gallery sets how many are)" if left_out else ""
    body = [
        f"<h1>{escape(_title(identity))}</h1>",
        f'<p class="small">checkpoint {identity.checkpoint_hash}; {_pairs(vars(identity.settings))}</p>',
        _table(scores),
        "<p>In a strip, above: what the policy sees; below: the robot from outside. Time runs from left to right.</p>",
        f"<h2>{_count(len(failures), 'failure')}{more}</h2>",
        *_articles(failures),
        f"<h2>{_count(len(successes), 'success', 'successes')}, for comparison</h2>",
        *_articles(successes),
    ]
    return html_page(_title(identity), "\n".join(body), _STYLE)


def _articles(entries: Iterable[Shown]) -> Iterable[str]:
    for entry in entries:
        key, outcome = entry.result.key, entry.result.outcome
        kind = "success" if outcome.success else "failure"
        yield f'<article class="{kind}" id="{escape(f"{key.task}-{key.language}-{key.seed}")}">'
        yield f"<h3>{escape(key.task)}, seed {key.seed}: “{escape(entry.result.heard)}”</h3>"
        yield f"<p>{_ending(entry.result)}</p>"
        if entry.again != entry.result:
            yield f'<p class="warn">It went differently when it was filmed: {_ending(entry.again)}</p>'
        name = f"film strip of {key.task}, sentence {key.language}, seed {key.seed}"
        yield scrolling(embedded(entry.strip.read_bytes(), "jpeg", name, "strip"))
        if entry.film is not None:
            source = escape(f"{entry.film.parent.name}/{entry.film.name}")
            yield f'<video controls muted playsinline preload="metadata" src="{source}"></video>'
        yield from map(_command, entry.commands)
        yield "</article>"


def _command(line: str) -> str:
    """A line to copy; where it is too long for the screen it breaks between words, never inside an option."""
    return f"<code>{' '.join(f'<span>{escape(word)}</span>' for word in line.split(' '))}</code>"


def _ending(result: EpisodeResult) -> str:
    outcome = result.outcome
    said = "its own sentence" if result.key.language == "own" else f"sentence '{escape(result.key.language)}'"
    best = f"; at best ({outcome.progress:.2f}): {escape(outcome.best_detail)}" if not outcome.success else ""
    word = "solved" if outcome.success else "not solved"
    return (
        f"{said}, {word} in {outcome.steps * PERIOD_S:.1f} s. The referee's last word: {escape(outcome.detail)}{best}"
    )


def _table(scores: Mapping[str, Any]) -> str:
    rows = []
    for task, entry in scores["tasks"].items():
        named = {
            "own": entry if "success_rate" in entry else None,
            "other": entry.get("other"),
            "empty": entry.get("empty"),
        }
        for language, score in named.items():
            if score is not None:
                rows.append(_row(task, language, score["success_rate"], score["wilson95"], score["episodes"]))
    if scores["average_success"] is not None:
        rows.append(_row("average of tasks", "own", scores["average_success"], scores["average95"], ""))
    head = "<tr><th>task<th>sentence<th>success<th>95 % interval<th>episodes</tr>"
    return scrolling(f"<table>{head}{''.join(rows)}</table>")


def _row(task: str, language: str, rate: float, interval: Sequence[float], episodes: object) -> str:
    figures = (f"{100 * rate:.0f} %", f"{100 * interval[0]:.0f} to {100 * interval[1]:.0f} %", str(episodes))
    cells = "".join(f'<td class="number">{figure}' for figure in figures)
    return f"<tr><td>{escape(task)}<td>{language}{cells}</tr>"


def _title(identity: Identity) -> str:
    return f"Evaluation of {Path(identity.checkpoint).name}"


def _pairs(values: Mapping[str, object]) -> str:
    return escape(", ".join(f"{name} {value}" for name, value in values.items()))


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
