"""The confirmation: the winner is frozen, then fresh pairs of winner and baseline, judged at declared looks only.

A pair that was spoiled is run again whole, with the next flip of the frozen list. Which pair is run again is decided by
validity alone. Nothing measured here is ever told to the sampler.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness import variant
from harness.judge import noise, verdict
from harness.judge.verdict import Look, Tested
from harness.ledger.record import History, WindowRecord
from harness.search import calibrate, race, seeds
from harness.search.sizes import Plan, looks
from harness.search.standing import Standing
from harness.study.model import Level, Study
from harness.variant import Decision, Step, Variant

LABEL = "confirm"
"""What the flips and arrivals of a study's own confirmation are drawn from."""

MOST_ATTEMPTS = 3
"""A pair runs at most three times: spoiled once by an INVALID half, once by a FAILED one, then as it comes."""


@dataclass(frozen=True)
class Freeze:
    """What was fixed before the first pair. Attempt number i of the confirmation, over all pairs, uses `flips[i]`.

    `label` is what coin flips and arrivals were drawn from, beside the study's seed.
    """

    winner: Variant
    difference: Mapping[str, Level]
    pairs: int
    looks: tuple[int, ...]
    alphas: tuple[float, ...]
    flips: tuple[bool, ...]
    label: str

    @property
    def tested(self) -> Tested:
        """What goes into the pairs, as the verdict names it."""
        return Tested(self.winner.id, self.difference)


def next_step(study: Study, plan: Plan, history: History) -> Step | Decision | None:
    """Return the freeze, the next half of a pair, or the look that is due; None when nothing is left to confirm."""
    fixed = frozen(history)
    if fixed is None:
        return freeze(study, plan, history)
    if is_over(history):
        return None
    taken = looks_taken(history)
    attempts = pair_attempts(history)
    for pair in range(fixed.looks[len(taken)]):
        step = _open_half(study, fixed, pair, attempts)
        if step is not None:
            return step
    return look(study, history, final=len(taken) + 1 == len(fixed.looks))


def frozen(history: History) -> Freeze | None:
    """Return the freeze of the run, None before it."""
    content = history.decision("freeze")
    if content is None:
        return None
    return Freeze(
        winner=Variant(id=content["winner_id"], values=dict(content["values"])),
        difference=dict(content["winner"]),
        pairs=content["pairs"],
        looks=tuple(content["looks"]),
        alphas=tuple(content["alphas"]),
        flips=tuple(content["flips"]),
        label=content.get("label", LABEL),
    )


def freeze(study: Study, plan: Plan, history: History) -> Decision | None:
    """Return the decision that fixes the winner, the pairs, the looks and every coin flip; None without a candidate.

    The race's unused windows become pairs. The flips are independent fair coins (never balanced: the exact test needs
    independent signs), with spare ones for pairs that are run again.
    """
    pairs = plan.pairs + (plan.race - race.windows_used(study, plan, history)) // 2
    ranked = race.final_ranking(study, plan, history)
    if not ranked or pairs < 1:
        return None
    return frozen_for(study, history, ranked[0].variant, pairs, LABEL, _why(study, ranked))


def frozen_for(study: Study, history: History, winner: Variant, pairs: int, label: str, why: str) -> Decision:
    """Return the decision that fixes `winner` for so many pairs; `history` tells images and noise known so far."""
    base = variant.baseline(study)
    declared, alphas = looks(pairs)
    flips = seeds.generator(study, label).integers(0, 2, MOST_ATTEMPTS * pairs)
    content: dict[str, Any] = {
        "winner": variant.difference(winner, base),
        "winner_id": winner.id,
        "values": dict(winner.values),
        "why": why,
        "pairs": pairs,
        "looks": list(declared),
        "alphas": list(alphas),
        "if_time_ends": f"before the first look: one look at the pairs there are, at {sum(alphas):.0%}",
        "label": label,
        "order_seed": seeds.number(study, label),
        "flips": [bool(flip) for flip in flips],
        "images": {"winner": _image(history, winner.id), "baseline": _image(history, base.id)},
        **_noise(study, history, pairs, len(declared)),
    }
    return Decision("freeze", content)


def look(study: Study, history: History, *, final: bool) -> Decision:
    """Return the next declared look at the usable pairs so far; a final one is followed by the verdict.

    A final look that is the first gets all of the alphas: when the time is over does not depend on the coin flips, so
    one look at what there is has the whole error budget to itself.
    """
    fixed, taken = frozen(history), looks_taken(history)
    assert fixed is not None  # noqa: S101 - a look comes after the freeze
    at = len(taken)
    alpha = sum(fixed.alphas) if final and not taken else fixed.alphas[at]
    planned = fixed.pairs if final else fixed.looks[at]
    made = verdict.look(study, usable_pairs(history), at + 1, planned, alpha)
    return Decision("look", {**made.to_json(), "final": final})


def looks_taken(history: History) -> list[Look]:
    """Return the looks in the ledger."""
    return [Look.from_json(record.content) for record in history.decisions if record.kind == "look"]


def is_final(history: History) -> bool:
    """Whether the last look was declared the last one."""
    content = history.decision("look")
    return content is not None and bool(content["final"])


def has_passed(history: History) -> bool:
    """Whether the last look passed: the claim is made, and no later window can change it."""
    taken = looks_taken(history)
    return bool(taken) and taken[-1].passed


def is_over(history: History) -> bool:
    """Whether no further look may be taken."""
    return has_passed(history) or is_final(history)


def pair_attempts(history: History) -> list[list[WindowRecord]]:
    """Return the one or two windows of each attempt at a pair, in the order in which the attempts were begun."""
    groups: dict[tuple[int, int], list[WindowRecord]] = {}
    for record in history.of_phase("confirm"):
        groups.setdefault((record.block, record.attempt), []).append(record)
    return list(groups.values())


def usable_pairs(history: History) -> list[tuple[WindowRecord, WindowRecord]]:
    """Return (winner, baseline) of each pair whose two halves, measured in one attempt, are usable."""
    done = [attempt for attempt in pair_attempts(history) if _complete(attempt)]
    return [(first, second) if first.role == "candidate" else (second, first) for first, second in done]


def _open_half(study: Study, fixed: Freeze, pair: int, attempts: Sequence[list[WindowRecord]]) -> Step | None:
    """Return the next half of a pair, None when the pair is complete or lost."""
    own = [attempt for attempt in attempts if attempt[0].block == pair]
    if not own:
        return _half(study, fixed, (pair, 0), position=0, flip=len(attempts))
    last = own[-1]
    if not _spoiled(last):
        return (
            None
            if _complete(last)
            else _half(study, fixed, (pair, len(own) - 1), position=1, flip=attempts.index(last))
        )
    again = sum(attempt[-1].validity is last[-1].validity for attempt in own) == 1
    return _half(study, fixed, (pair, len(own)), position=0, flip=len(attempts)) if again else None


def _half(study: Study, fixed: Freeze, place: tuple[int, int], *, position: int, flip: int) -> Step:
    """Return one half of the (pair, attempt) at `place`; the flip says whether the winner comes first."""
    pair, attempt = place
    is_winner = fixed.flips[flip] == (position == 0)
    return Step(
        phase="confirm",
        role="candidate" if is_winner else "baseline",
        block=pair,
        position=position,
        attempt=attempt,
        variant=fixed.winner if is_winner else variant.baseline(study),
        schedule_seed=seeds.arrivals(study, fixed.label, pair),
    )


def _complete(attempt: Sequence[WindowRecord]) -> bool:
    return len(attempt) == 2 and not _spoiled(attempt)  # noqa: PLR2004 - a pair


def _spoiled(attempt: Sequence[WindowRecord]) -> bool:
    return not attempt[-1].validity.usable


def _why(study: Study, ranked: Sequence[Standing]) -> str:
    best = ranked[0]
    if study.objective.second is not None:
        rule = f"`pick: {study.objective.pick}` of {study.objective.metric} and {study.objective.second.metric}"
        return f"what the rule {rule} puts first of {len(ranked)} variants that were left"
    found = f"the best of {len(ranked)} variants that were left, score {best.score:+.3f} over {best.windows} windows"
    if best.score < 0:
        return found
    return f"none scored better than the baseline; the pairs go to {found}"


def _image(history: History, name: str) -> str:
    images = [record.image for record in history.windows if record.variant == name and record.image]
    return images[-1] if images else ""


def _noise(study: Study, history: History, pairs: int, declared: int) -> dict[str, Any]:
    """Return what calibration says about the noise, and the smallest visible gain as a range."""
    sigma, windows = calibrate.sigma(study, history)
    if sigma is None:
        return {"sigma": None, "sigma_range": None, "smallest_visible": None}
    ends = noise.sigma_range(sigma, windows)
    visible = [noise.smallest_visible(end, pairs, declared) for end in (ends.low, ends.high)]
    return {"sigma": sigma, "sigma_range": [ends.low, ends.high], "smallest_visible": visible}
