"""What the terminal shows: progress on standard error, results on standard output. Prints; decides nothing."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from harness.ledger.record import DecisionRecord, History, WindowRecord
from harness.study.model import Study
from harness.variant import Step, baseline, difference
from harness.window.measurement import Validity


def say(text: str) -> None:
    """Write one line of progress or notice to standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


class Progressing:
    """Shows a run as it goes: a live line on a terminal, plain lines elsewhere. Implements `loop.Watcher`."""

    def __init__(self, *, planned_windows: int, seconds_per_window: float, quiet: bool) -> None:
        """`planned_windows` and `seconds_per_window` come from the plan and give the time left."""
        self.quiet = quiet
        self.total = planned_windows
        self.seconds = seconds_per_window
        self.console = Console(stderr=True)
        self.live = self.console.is_terminal and not quiet
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            transient=True,
            disable=not self.live,
        )
        self.task = self.progress.add_task("", total=self.total, note="")

    def __enter__(self) -> Self:
        """Start the live line."""
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the live line away."""
        self.progress.stop()

    def step(self, study: Study, history: History, step: Step) -> None:
        """Show what runs now and how long the rest will take."""
        n = len(history.windows) + 1
        changed = difference(step.variant, baseline(study))
        what = ", ".join(f"{name}={level}" for name, level in changed.items()) or "baseline"
        again = f", attempt {step.attempt + 1}" if step.attempt else ""
        left = max(0, self.total - n + 1) * self.seconds
        self.progress.update(
            self.task,
            completed=n - 1,
            description=f"window {n}/{max(n, self.total)}  {step.phase}",
            note=f"{what}{again}  best {best_words(study, history)}  {_minutes(left)} left",
        )

    def waits(self, words: str) -> None:
        """Say what is waited for: minutes without a line would look like a hang."""
        if not self.quiet:
            self._line(f"          {words}")

    def measured(self, study: Study, history: History, record: WindowRecord) -> None:
        """Show one line for the window that is now in the ledger; `history` is what was there before it."""
        if self.quiet:
            return
        value = objective_words(study, record)
        why = _why(history, record)
        if record.validity is Validity.FAILED and record.log.strip():
            why += f"\n{'':>10}{record.log.strip().splitlines()[-1][:200]}"
        changed = {name: level for name, level in record.values.items() if study.baseline.get(name) != level}
        what = ", ".join(f"{name}={level}" for name, level in changed.items()) or "baseline"
        clock = time.strftime("%H:%M:%S", time.localtime(record.ended))
        self._line(
            f"{clock}  {record.n:>3}/{max(record.n, self.total)}  {record.phase:<9}  {value:>12}  {what}  {record.validity}{why}"
        )

    def decided(self, study: Study, history: History, record: DecisionRecord) -> None:
        """Show the decisions that a reader waits for."""
        del study, history
        if self.quiet:
            return
        if record.kind in {"notice", "inert", "restart"}:
            self._line(f"          {record.content['words']}")
        if record.kind == "freeze":
            values = record.content.get("winner") or {}
            what = ", ".join(f"{name}={level}" for name, level in values.items()) or "the baseline"
            self._line(f"          winner frozen: {what}; now fresh pairs decide")

    def _line(self, text: str) -> None:
        if self.live:
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)
        else:
            say(text)


def _why(history: History, record: WindowRecord) -> str:
    """Return why a window is not VALID: what made an earlier one DEGRADED was said there and is no news."""
    if record.validity is Validity.VALID:
        return ""
    if record.validity is not Validity.DEGRADED:
        return f"  ({record.reasons[0]})" if record.reasons else ""
    said = {reason for window in history.windows if window.validity is Validity.DEGRADED for reason in window.reasons}
    news = [reason for reason in record.reasons if reason not in said]
    return f"  ({'; '.join(news)})" if news else ""


def objective_words(study: Study, record: WindowRecord) -> str:
    """Return the objective's value of one window with its unit."""
    from harness.judge.score import objective_value

    value = objective_value(study, record.metrics, record.by_request)
    return "-" if value is None else f"{study.objective.metric} {_unit(study.objective.metric, value)}"


def best_words(study: Study, history: History) -> str:
    """Return the best median of any variant so far, which is a picture and not a result."""
    from harness.judge.score import objective_value

    sign = 1 if study.objective.direction == "minimize" else -1
    values = [
        value
        for record in history.windows
        if record.validity.usable and (value := objective_value(study, record.metrics, record.by_request)) is not None
    ]
    return _unit(study.objective.metric, sign * min(sign * value for value in values)) if values else "-"


def _unit(metric: str, value: float) -> str:
    if metric.startswith("p") and metric[1:].isdigit():
        return f"{value:.0f} ms" if value >= 100 else f"{value:.3g} ms"  # noqa: PLR2004 - three digits
    if metric == "peak_rss":
        return f"{value / 2**20:.3g} MiB"
    if metric == "cpu_per_request":
        return f"{value:.3g} us"
    if metric == "capacity":
        return f"{value:,.0f}/s"
    return f"{value:.4g}"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"  # noqa: PLR2004 - reads better
