"""summary.json: what other programs may rely on, and the headline in words. Keys are only ever added."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.judge import second
from harness.judge.attribution import Attribution
from harness.judge.effects import Ends
from harness.judge.interaction import Check
from harness.judge.verdict import UNJUDGED, Verdict
from harness.ledger.record import WindowRecord
from harness.report import files, read, tables, timing, words
from harness.report.confirmations import confirmations
from harness.report.read import Run
from harness.search import inert
from harness.window.measurement import Validity

SCHEMA = 1


def headline(folder: Path) -> str:
    """Return the verdict of the run in `folder` as one sentence; StudyError when it cannot be read."""
    return words.headline(read.run(folder))


def judged(folder: Path) -> bool:
    """Whether the run in `folder` is finished and enough of its windows could be used for a judgement."""
    file = folder / "summary.json"
    return file.is_file() and json.loads(file.read_text(encoding="utf-8"))["verdict"]["reason_code"] not in UNJUDGED


def write(run: Run) -> dict[str, Any]:
    """Return the summary, and write it as summary.json once the run has its verdict.

    An unfinished run gets no file, because the file says that nothing is left to do.
    """
    content = summary(run)
    if run.verdict is not None:
        files.replace(run.folder.path / "summary.json", json.dumps(content, indent=1, allow_nan=False) + "\n")
    return content


def summary(run: Run) -> dict[str, Any]:
    """Return the summary as plain JSON. Gains are fractions of the baseline's value, positive is better."""
    windows, beside = run.history.windows, second.effect(run.study, run.pairs)
    return {
        "schema": SCHEMA,
        "run": run.id,
        "study": run.study.name,
        "study_digest": run.study.digest,
        "harness": run.harness,
        "backend": run.backend,
        "objective": asdict(run.study.objective),
        "finished": run.verdict is not None,
        "headline": words.headline(run),
        "verdict": _verdict(run.verdict),
        "effects": [_effect(row) for row in tables.effects(run)],
        "together": _together(tables.singles_together(run)),
        "attribution": _attribution(tables.attribution(run)),
        "windows": {"total": len(windows), **_counts(windows)},
        "phases": dict(Counter(record.phase for record in windows)),
        "timing": asdict(timing.timing(run)),
        "pareto": [_trade_off(row) for row in tables.trade_offs(run)],
        "second": None if beside is None else asdict(beside),
        "inert": {"knobs": inert.skipped(run.history), "windows_saved": _saved(run)},
        "confirms": run.confirms,
        "confirmations": [asdict(found) for found in confirmations(run)],
    }


def _verdict(verdict: Verdict | None) -> dict[str, Any]:
    if verdict is None:
        return {
            "call": "inconclusive",
            "reason_code": "unfinished",
            "reason": "The run is unfinished.",
            "winner": {},
            "at_least": None,
            "estimate": None,
            "interval": [None, None],
            "confidence": None,
            "smallest_visible": None,
        }
    return verdict.to_json()


def _effect(row: tables.EffectRow) -> dict[str, Any]:
    effect = row.effect
    return {
        "knob": effect.knob,
        "level": effect.level,
        "effect": None if effect.effect is None else _finite(effect.effect),
        "interval": _ends(effect.interval),
        "windows": effect.n,
        "p_holm": effect.p_holm,
        "call": effect.call,
    }


def _saved(run: Run) -> int:
    return int((run.history.decision("inert") or {"windows_saved": 0})["windows_saved"])


def _trade_off(row: tables.TradeOff) -> dict[str, Any]:
    return {**asdict(row.point), "gains": [_finite(gain) for gain in row.point.gains], "picked": row.picked}


def _attribution(told: Attribution | None) -> dict[str, Any] | None:
    """Return what each changed knob adds to the winner, as gains; None where that was not measured."""
    if told is None:
        return None
    whole = told.interaction
    return {
        "blocks": told.blocks,
        "knobs": [
            {
                "knob": row.knob,
                "level": row.level,
                "effect": None if row.effect is None else _finite(row.effect),
                "interval": _ends(row.interval),
                "windows": row.n,
                "p_holm": row.p_holm,
                "call": row.call,
            }
            for row in told.knobs
        ],
        "interaction": None
        if whole is None
        else {"estimate": _finite(whole.estimate), "interval": _ends(whole.interval), "call": whole.call},
    }


def _together(seen: Check | None) -> dict[str, Any] | None:
    """Return what the single winners do together against the sum of their effects, as gains; None: not measured."""
    if seen is None:
        return None
    return {
        "levels": dict(seen.levels),
        "blocks": seen.blocks,
        "effect": _finite(seen.together),
        "interval": _ends(seen.interval),
        "sum": _finite(seen.sum),
        "interaction": {
            "estimate": _finite(seen.interaction.estimate),
            "interval": _ends(seen.interaction.interval),
            "call": seen.interaction.call,
        },
    }


def _ends(interval: Ends | None) -> list[float | None] | None:
    return None if interval is None else [None if end is None else _finite(end) for end in interval]


def _finite(value: float) -> float | None:
    """Return the value, None for an infinite one: JSON has no word for it."""
    return value if math.isfinite(value) else None


def _counts(windows: Sequence[WindowRecord]) -> dict[str, int]:
    found = Counter(record.validity for record in windows)
    return {validity.value.lower(): found[validity] for validity in Validity}
