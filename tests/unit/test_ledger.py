"""The ledger: durable lines, a torn end, refused damage, one run a host."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import MachineError, StudyError
from harness.ledger import folder as folders
from harness.ledger.ledger import Ledger, read_history, write_json
from harness.ledger.lock import host_lock
from harness.variant import Decision, Step, Variant
from harness.window.measurement import Figures, Measurement, Validity

STEP = Step("calibrate", "baseline", 0, 0, 0, Variant("abc", {"fraud_check": "inline"}), 7)
FIGURES = Figures(1.0, 2.0, 3.0, 4.0, 5.0, 1.0, 0.0, 10, 10, 0, 0, 0, 0)
MEASURED = Measurement(Validity.VALID, (), 100.0, 110.0, FIGURES)


@pytest.fixture
def run(tmp_path):
    return folders.create(tmp_path, "demo", 1_700_000_000.0)


def test_a_run_folder_is_named_by_study_and_utc_time(tmp_path, run):
    assert run.path == tmp_path / "demo" / "20231114T221320Z"
    assert run.run_id == "demo-20231114T221320Z"


def test_two_runs_in_one_second_get_two_folders(tmp_path, run):
    again = folders.create(tmp_path, "demo", 1_700_000_000.0)

    assert again.path == Path(f"{run.path}-2")


def test_what_is_appended_is_read_back_in_its_order(run):
    ledger = Ledger(run)
    ledger.append_decision(Decision("plan", {"pairs": 6}), at=99.0)
    ledger.append_window(STEP, MEASURED)

    history = read_history(run)

    assert history == ledger.history
    assert (history.windows[0].n, history.windows[0].after, history.windows[0].metrics) == (1, 1, FIGURES)
    assert history.decision("plan") == {"pairs": 6}


def test_a_torn_last_line_is_dropped_and_the_rest_kept(run):
    ledger = Ledger(run)
    ledger.append_window(STEP, MEASURED)
    with run.windows_jsonl.open("ab") as out:
        out.write(b'{"n": 2, "after')

    reopened = Ledger(run)
    reopened.append_window(STEP, MEASURED)

    assert [record.n for record in read_history(run).windows] == [1, 2]


def test_a_line_changed_by_hand_is_refused_with_its_place(run):
    Ledger(run).append_window(STEP, MEASURED)
    run.windows_jsonl.write_text(run.windows_jsonl.read_text().replace('"VALID"', '"FINE"'))

    with pytest.raises(StudyError, match=r"windows\.jsonl:1 .*validity"):
        read_history(run)


def test_a_removed_line_is_refused(run):
    ledger = Ledger(run)
    ledger.append_window(STEP, MEASURED)
    ledger.append_window(STEP, MEASURED)
    run.windows_jsonl.write_text(run.windows_jsonl.read_text().splitlines(keepends=True)[1])

    with pytest.raises(StudyError, match="removed or moved by hand"):
        read_history(run)


def test_leftovers_of_a_dead_window_are_gone_before_it_runs_again(run):
    (run.fresh_window(1) / "samples.parquet").write_text("half")

    assert list(run.fresh_window(1).iterdir()) == []


def test_a_full_disk_is_said_with_what_to_do():
    full = Path("/dev/full")
    with pytest.raises(MachineError, match=r"disk is full.*kept"), folders.disk_errors(full), full.open("w") as out:
        out.write("x" * 100_000)


def test_a_results_path_that_is_a_file_is_said(tmp_path):
    (tmp_path / "results").write_text("")

    with pytest.raises(MachineError, match="not a folder"):
        folders.create(tmp_path / "results", "demo", 0.0)


def test_json_is_replaced_whole(tmp_path):
    file = tmp_path / "run.json"
    write_json(file, {"a": 1})
    write_json(file, {"a": 2})

    assert file.read_text() == '{\n "a": 2\n}\n'
    assert list(tmp_path.iterdir()) == [file]


def test_a_second_run_is_refused_and_told_who_holds_the_host(tmp_path):
    lock = tmp_path / "lock"
    refused = pytest.raises(MachineError, match=f"pid {os.getpid()}, run first")
    with host_lock("first", 0.0, lock), refused, host_lock("second", 0.0, lock):
        pass


def test_the_lock_dies_with_its_holder(tmp_path):
    lock = tmp_path / "lock"
    code = (
        "import os, sys; from pathlib import Path; from harness.ledger.lock import host_lock\n"
        f"with host_lock('dead', 0.0, Path({str(lock)!r})): os.kill(os.getpid(), 9)"
    )
    died = subprocess.run([sys.executable, "-c", code], check=False)

    assert died.returncode == -9
    with host_lock("next", 0.0, lock):
        pass


def test_waiting_gets_the_host_when_the_other_run_ends(tmp_path):
    lock = tmp_path / "lock"
    code = (
        "import sys, time; from pathlib import Path; from harness.ledger.lock import host_lock\n"
        f"with host_lock('short', 0.0, Path({str(lock)!r})): print('held', flush=True); time.sleep(0.5)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with host_lock("patient", 20.0, lock):
            pass
