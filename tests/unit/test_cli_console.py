"""What the terminal shows of a run, as plain lines."""

from fakes import Fake, fake_study, flat, run_one

from harness.cli.console import Progressing
from harness.ledger.record import History
from harness.window.measurement import Validity

COUNTER = "the target has no request counter"
NEIGHBOUR = "others used 7 % of the target's core"


def shown(capsys, reasons, validity=Validity.DEGRADED):
    """The lines of as many windows as there are `reasons`, each with its own."""
    study, history = fake_study(), History()
    progress = Progressing(planned_windows=9, seconds_per_window=1, quiet=False)
    _, history = run_one(study, history, Fake(flat))
    for of_window in reasons:
        before = history
        _, history = run_one(study, before, Fake(flat))
        record = history.windows[-1].model_copy(update={"validity": validity, "reasons": of_window})
        history = history.model_copy(update={"windows": (*before.windows, record)})
        progress.measured(study, before, record)
    return capsys.readouterr().err.splitlines()


def test_what_degrades_every_window_is_said_at_the_first_of_them(capsys):
    lines = shown(capsys, [(COUNTER,)] * 3)

    assert [COUNTER in line for line in lines] == [True, False, False]
    assert all("DEGRADED" in line for line in lines)


def test_every_reason_of_the_first_degraded_window_is_said(capsys):
    lines = shown(capsys, [(NEIGHBOUR, COUNTER)])

    assert lines[0].endswith(f"({NEIGHBOUR}; {COUNTER})")


def test_a_new_reason_behind_a_known_one_is_said(capsys):
    lines = shown(capsys, [(COUNTER,), (COUNTER, NEIGHBOUR)])

    assert lines[1].endswith(f"({NEIGHBOUR})")


def test_why_a_window_is_invalid_is_said_each_time(capsys):
    lines = shown(capsys, [(NEIGHBOUR,)] * 2, Validity.INVALID)

    assert all(NEIGHBOUR in line for line in lines)


def test_what_is_waited_for_is_said(capsys):
    Progressing(planned_windows=9, seconds_per_window=1, quiet=False).waits("waiting for a quiet host")
    Progressing(planned_windows=9, seconds_per_window=1, quiet=True).waits("never said")

    assert capsys.readouterr().err.strip() == "waiting for a quiet host"
