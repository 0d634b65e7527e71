"""The claims lab: its table, its rule, and that every claim's test can be carried out."""

import math
import tomllib
from pathlib import Path

import pytest

from harness import search
from harness.errors import StudyError
from harness.judge.claims import Range, of_compiling, of_pairs, ruling
from harness.ledger.record import DecisionRecord, History
from harness.search import claimed
from harness.study import claims, load, manifest
from harness.variant import Step

LAB = claims.TABLE.parent
PROGRAMS = LAB / claims.PROGRAMS
CLAIMS = claims.claims()
STUDIED = [claim for claim in CLAIMS if claim.pairs is not None]
INF = math.inf


@pytest.mark.parametrize(
    ("claim", "interval", "call"),
    [
        (Range(low=0.05), (0.05, 0.30), "held here"),
        (Range(low=0.05), (0.04, 0.30), "not resolved"),
        (Range(low=0.05), (-0.30, 0.049), "refuted here"),
        (Range(low=0.05), (0.06, None), "held here"),
        (Range(low=0.05), (None, 0.01), "refuted here"),
        (Range(low=0.05), (None, None), "not resolved"),
        (Range(high=-0.25), (-0.60, -0.26), "held here"),
        (Range(high=-0.25), (-0.10, -0.02), "refuted here"),
        (Range(-0.1, 0.1), (-0.09, 0.09), "held here"),
        (Range(-0.1, 0.1), (0.11, 0.4), "refuted here"),
        (Range(-0.1, 0.1), (-0.2, 0.2), "not resolved"),
    ],
)
def test_a_claim_is_held_by_an_interval_inside_its_range_and_refuted_by_one_outside(claim, interval, call):
    assert of_pairs(claim, interval).call == call


def test_what_is_not_resolved_says_what_it_is_smaller_than_and_says_nothing_without_an_end():
    assert of_pairs(Range(low=0.05), (-0.08, 0.06)).smaller_than == 0.08
    assert of_pairs(Range(low=0.05), (None, 0.06)).smaller_than is None


def test_a_difference_below_the_floor_of_the_host_holds_no_claim_of_a_difference():
    assert of_pairs(Range(low=0.05), (0.06, 0.09), resolvable=False).call == "not resolved"
    assert of_pairs(Range(low=-0.05), (0.06, 0.09), resolvable=False).call == "held here"
    assert of_pairs(Range(low=0.10), (0.06, 0.09), resolvable=False).call == "refuted here"


def test_a_single_figure_is_held_or_refuted():
    assert ruling(Range(low=1), Range(0, 0)).call == "refuted here"
    assert ruling(Range(9, 11), Range(10, 10)).call == "held here"


@pytest.mark.parametrize(
    ("says", "compiled", "control", "call"),
    [
        (True, True, True, "held here"),
        (True, False, True, "refuted here"),
        (False, True, True, "refuted here"),
        (False, False, True, "held here"),
        (True, False, False, "not resolved"),
    ],
)
def test_a_compiler_that_refuses_the_control_as_well_shows_nothing(says, compiled, control, call):
    assert of_compiling(claimed=says, compiled=compiled, control=control).call == call


def test_every_statement_of_the_article_stands_in_the_table_in_order():
    numbers = [claim.number for claim in CLAIMS]

    assert sorted(set(numbers)) == list(range(1, 49))
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("claim", STUDIED, ids=lambda claim: claim.pairs.study)
def test_the_study_of_a_claim_loads_without_a_warning_and_begins_with_pairs(claim):
    study = load(LAB / claim.pairs.study)
    history = History(
        decisions=tuple(
            DecisionRecord(k=k, after=0, kind=made.kind, at=0.0, content=dict(made.content))
            for k, made in enumerate(claimed.decisions(study, claim.pairs.change), 1)
        )
    )
    first = search.next_step(study, history)

    assert study.warnings == ()
    assert study.name == f"claim-{claim.pairs.study.removesuffix('.yaml')}"
    assert claim.pairs.study.startswith(f"{claim.number:02}-")
    assert isinstance(first, Step)
    assert first.phase == "confirm"
    assert study.window.measure_s <= 6
    assert 2 * study.phases.confirm <= 16


def test_every_study_and_every_program_of_the_lab_is_used():
    named = {claim.pairs.study for claim in STUDIED}
    programs = {claim.figure.program for claim in CLAIMS if claim.figure}
    programs |= {
        name for claim in CLAIMS if claim.compiles for name in (claim.compiles.program, claim.compiles.control)
    }

    assert named == {file.name for file in LAB.glob("[0-9]*.yaml")}
    assert programs == {file.stem for file in (PROGRAMS / "src" / "bin").glob("*.rs")}


def test_a_change_that_makes_the_baseline_again_is_no_test():
    with pytest.raises(StudyError, match="makes the baseline again"):
        claimed.decisions(load(LAB / "14-pool-of-48.yaml"), {"max_blocking_threads": 512})


def test_the_programs_are_pinned_to_the_tokio_of_the_targets():
    def tokio(lock):
        packages = tomllib.loads(Path(lock).read_text())["package"]
        return [package["version"] for package in packages if package["name"] == "tokio"]

    assert tokio(PROGRAMS / "Cargo.lock") == tokio(manifest.TEMPLATES / "Cargo.lock")


def test_a_claim_with_two_tests_or_none_is_refused_with_its_line(tmp_path):
    file = tmp_path / "claims.yaml"
    file.write_text('claims:\n  - {number: 1, says: "a", because: "b"}\n')

    with pytest.raises(StudyError, match=r"claims.yaml:2:5 .*exactly one of pairs"):
        claims.claims(file)


@pytest.mark.cargo
def test_the_compiler_refuses_what_does_not_exist_takes_the_control_and_programs_print_their_figures():
    from harness.target import programs

    refused = programs.compiled(PROGRAMS, "runtime_new_multi_thread", unstable=True)
    control = programs.compiled(PROGRAMS, "builder_new_multi_thread", unstable=True)
    unstable, stable = (programs.compiled(PROGRAMS, "metrics_unstable", unstable=on) for on in (True, False))
    pool = programs.compiled(PROGRAMS, "default_pool", unstable=True)

    assert refused.error.startswith("error[E0599]: no function or associated item named `new_multi_thread`")
    assert refused.binary is None
    assert control.error is None
    assert unstable.error is None
    assert "error[E0599]: no method named" in stable.error
    assert programs.figures(pool.binary) == {"threads_at_start": 0, "most_threads": 512}


@pytest.mark.cargo
def test_calls_made_directly_never_reach_the_pool_and_their_workers_are_not_parked():
    from harness.target import programs

    seen = programs.figures(programs.compiled(PROGRAMS, "direct_call", unstable=True).binary)

    assert seen["queued_or_running_in_the_pool"] == 0
    assert seen["parked_percent"] < 50


@pytest.mark.cargo
def test_every_line_of_tokio_that_the_table_quotes_is_there_and_one_that_is_not_is_said():
    from harness.errors import MachineError
    from harness.target import programs

    quoted = {claim.source for claim in CLAIMS if claim.source}
    found = [programs.tokio_line(PROGRAMS, source.file, source.line) for source in quoted]

    assert len({version for version, _ in found}) == 1
    with pytest.raises(MachineError, match="the claims table is stale"):
        programs.tokio_line(PROGRAMS, "src/lib.rs", "no such line anywhere")
