"""A mirror of the ledger in an Optuna storage, for people who look at a run with optuna-dashboard. It is only ever written.

Nothing here is read back by the search: the ledger stays the truth, and a storage that is changed, lost or full changes
no step of the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from harness.errors import StudyError
from harness.judge import score, second
from harness.ledger.record import History, WindowRecord
from harness.study.model import UNSET, Knob, Level, Study

if TYPE_CHECKING:
    import optuna


class Mirror:
    """One run as a study of an Optuna storage: a trial for each window, in the order of the ledger."""

    def __init__(self, url: str, run: str, study: Study) -> None:
        """Open or make the study named `run` in the storage at `url`; StudyError where that cannot be."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = study
        self.broken = ""
        with _opening(url):
            self._mirror = optuna.create_study(
                storage=url, study_name=run, directions=_directions(study), load_if_exists=True
            )
            self._next = 1 + max((int(trial.user_attrs.get("n", 0)) for trial in self._mirror.get_trials()), default=0)

    def catch_up(self, history: History) -> None:
        """Add the windows that are not there yet. A storage that fails is left alone from then on; `broken` says why."""
        for record in history.windows[self._next - 1 :]:
            if self.broken:
                return
            try:
                self._mirror.add_trial(_trial(self._study, record))
                self._next = record.n + 1
            except Exception as error:  # noqa: BLE001 - no fault of a mirror may end a run
                self.broken = (
                    f"the Optuna storage takes no more windows ({type(error).__name__}); the run goes on without"
                )


def check(url: str) -> None:
    """Raise StudyError unless there is a storage at `url`, or one can be made: before anything is spent."""
    import optuna

    with _opening(url):
        optuna.storages.get_storage(url)


@contextmanager
def _opening(url: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever the storage's own libraries raise
        what = f"{url.partition(':')[0]}: {type(error).__name__}"  # the address may hold a password
        raise StudyError(
            f"--optuna-storage: the storage cannot be opened ({what}). Give one such as sqlite:///optuna.db, or leave it out."
        ) from error


def _directions(study: Study) -> list[Literal["minimize", "maximize"]]:
    asked = [study.objective, study.objective.second]
    return [objective.direction for objective in asked if objective is not None]


def _trial(study: Study, record: WindowRecord) -> optuna.trial.FrozenTrial:
    import optuna

    values = _values(study, record)
    state = optuna.trial.TrialState.COMPLETE if values else optuna.trial.TrialState.FAIL
    return optuna.trial.create_trial(
        state=state,
        values=values or None,
        params={knob.name: _level(knob, record) for knob in study.knobs},
        distributions={
            knob.name: optuna.distributions.CategoricalDistribution(list(knob.levels)) for knob in study.knobs
        },
        user_attrs=_facts(record),
    )


def _values(study: Study, record: WindowRecord) -> list[float]:
    """Return each objective's value in its own unit; empty where the window is not usable or lacks one of them."""
    asked = [each for each in (study, second.seen_from(study)) if each is not None]
    found = [score.objective_value(each, record.metrics, record.by_request) for each in asked]
    known = [value for value in found if value is not None]
    return known if record.validity.usable and len(known) == len(asked) else []


def _level(knob: Knob, record: WindowRecord) -> Level:
    """Return the level that the window ran a knob at; where that is none of the study's, the one that it stands for."""
    level = record.proposed.get(knob.name, record.values.get(knob.name, UNSET))
    return level if level in knob.levels else knob.baseline


def _facts(record: WindowRecord) -> dict[str, Any]:
    return {
        "n": record.n,
        "phase": record.phase,
        "role": record.role,
        "variant": record.variant,
        "validity": record.validity.value,
        "reasons": list(record.reasons),
    }
