"""The table of the claims lab: rows from what was measured, lines for a terminal, and the page."""

import json
from dataclasses import replace
from pathlib import Path

import canned_run

from harness.report import claims as report
from harness.report.read import run as read_run
from harness.study.claims import Claim, Compiles, Figure, Pairs, Ratio

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "docs" / "measured" / "claims.json"
GAIN = Pairs(study="14-pool-of-48.yaml", change={"fraud_check": "spawn_blocking"}, gain_at_least=0.05)
POOL = Figure(program="default_pool", name="most_threads", unit="threads by default", at_most=48)
NAME = Compiles(program="runtime_new_multi_thread", control="builder_new_multi_thread", claimed=True)


def claim(number, **test):
    return Claim(number=number, says="It helps | a lot.", refuted_by="It does not.", because="So it is.", **test)


def rows(tmp_path):
    run = read_run(canned_run.write(tmp_path / "results"))
    by_pairs = report.of_run(claim(1, pairs=GAIN), GAIN, run)
    return [
        report.with_source(by_pairs, "1.54.1", "src/runtime/builder.rs", 324, "max_blocking_threads: 512"),
        report.of_run(claim(1, pairs=GAIN), replace_gain(GAIN, gain_at_least=0.999), run),
        report.of_figure(claim(2, figure=POOL), POOL, 512),
        report.of_compiling(claim(3, compiles=NAME), NAME, "error[E0599]: no function", None),
        report.of_compiling(claim(3, compiles=NAME), NAME, "error: no `std`", "error: no `std`"),
        report.of_ratio(claim(4, ratio=(ratio := Ratio(of=500, to=20, at_least=40))), ratio),
        report.untested(claim(5, pairs=GAIN)),
        report.untested(claim(6, untestable="it takes three cores", needs_cores=3)),
        report.untested(claim(7, untestable="no figure would refute it")),
    ]


def replace_gain(pairs, **ends):
    return pairs.model_copy(update=ends)


def test_the_table_names_each_call_with_what_was_seen_and_by_which_test(tmp_path, snapshot):
    made = rows(tmp_path)
    machine = {"cpu_model": "a CPU", "cores": 2, "virtual": True, "kernel": "6.1", "os": "Linux"}
    content = {"machine": machine, "tokio": "1.54.1", "rustc": "rustc 1.95.0", "rows": made}

    assert [row["call"] for row in made] == [
        "held here",
        "refuted here",
        "refuted here",
        "refuted here",
        "not resolved",
        "refuted here",
        "not run yet",
        "not testable on this machine",
        "not testable",
    ]
    assert json.loads(json.dumps(content)) == content
    assert "\n".join(report.lines(made)) == snapshot
    assert report.page(content) == snapshot


def test_a_run_without_a_judged_verdict_resolves_nothing(tmp_path):
    run = read_run(canned_run.write(tmp_path / "results"))
    unjudged = replace(run, verdict=replace(run.verdict, reason_code="too_few_pairs", reason="3 pairs are too few."))
    row = report.of_run(claim(1, pairs=GAIN), GAIN, unjudged)

    assert (row["call"], row["seen"]) == ("not resolved", "3 pairs are too few.")


def test_the_page_of_claims_is_generated_from_the_rows_that_are_kept():
    content = json.loads(KEPT.read_text())

    assert (ROOT / "docs" / "claims.md").read_text() == report.page(content)
    assert {row["number"] for row in content["rows"]} == set(range(1, 49))
