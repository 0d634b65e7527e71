"""`harness claims` on the command line: what it refuses, what it shows, and one claim really tested by pairs."""

import json

import pytest

WAIT = ("--wait", "200")
TABLE = """\
claims:
  - number: 1
    says: The blocking pool makes it faster.
    refuted_by: It gains less than a tenth.
    pairs: {study: small.yaml, change: {fraud_check: spawn_blocking}, gain_at_least: "10%"}
    because: The worker is free.
"""


def test_a_number_that_no_claim_has_is_refused(harness):
    done = harness("claims", "12", "99")

    assert done.returncode == 2
    assert "there is no claim 99" in done.stderr


def test_the_page_is_of_the_whole_table_only(harness):
    done = harness("claims", "12", "--write", "page.md")

    assert (done.returncode, "leave the numbers out" in done.stderr) == (2, True)


@pytest.mark.cargo
def test_what_has_not_run_reads_so_and_arithmetic_needs_no_run(harness):
    done = harness("claims", "--show", "--write", "page.md")
    page = (harness.folder / "page.md").read_text()

    assert done.returncode == 0, done.stderr
    assert "17  refuted here" in done.stdout
    assert "500 / 20 = 25" in page
    assert "18 | Communication across threads takes a median from 2 to 3 ms. | not run yet" in page
    assert not (harness.folder / "results").exists()


@pytest.mark.cargo
def test_a_static_claim_is_tested_once_and_kept(harness):
    first, second = (harness("claims", "19", "--json", *WAIT) for _ in range(2))
    (row,) = json.loads(second.stdout)["rows"]

    assert (first.returncode, second.returncode) == (0, 0), (first.stderr, second.stderr)
    assert "runtime_new_multi_thread" in first.stderr
    assert second.stderr == ""
    assert row["call"] == "refuted here"
    assert "E0599" in row["seen"]
    assert "src/runtime/builder.rs" in row["source"]


@pytest.mark.cargo
@pytest.mark.load
def test_a_claim_of_a_table_of_ones_own_is_tested_by_real_pairs_once(harness):
    (harness.folder / "table.yaml").write_text(TABLE)
    asked = ("claims", "--table", "table.yaml", "--json", *WAIT)
    done = harness(*asked, "--backend", "process")
    again = harness(*asked)
    (row,), windows = json.loads(done.stdout)["rows"], harness.windows()

    assert done.returncode == 0, done.stderr
    assert {window["phase"] for window in windows} == {"confirm"}
    assert len(windows) >= 10
    assert row["run"].startswith("small-")
    assert row["call"] in {"held here", "refuted here", "not resolved"}
    assert json.loads(again.stdout)["rows"] == [row]
    assert len(harness.windows()) == len(windows)
