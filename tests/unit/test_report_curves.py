import canned_run
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from harness.report import curves, read


@pytest.fixture
def run(tmp_path):
    return read.run(canned_run.write(tmp_path, samples=1000))


def baselines(run):
    return [base for _, base in run.pairs]


def test_percentiles_are_the_nearest_ranks_of_all_samples_pooled(run):
    pooled = np.concatenate([milliseconds(run, record) for record in baselines(run)])

    made = curves.percentiles(run, baselines(run))

    at = len(made.quantile) // 2
    assert (made.requests, made.windows) == (6000, 6)
    assert pytest.approx(np.quantile(pooled, made.quantile[at], method="inverted_cdf")) == made.ms[at]


def milliseconds(run, record):
    table = parquet.read_table(run.folder.window(record.n) / "samples.parquet").to_pandas()
    return np.where(table.outcome == 0, (table.done_ns - table.intended_ns) / 1e6, 2000.0)


def test_a_request_without_a_success_reads_as_the_time_out(run):
    record = baselines(run)[0]
    file = run.folder.window(record.n) / "samples.parquet"
    table = parquet.read_table(file)
    index = table.schema.get_field_index("outcome")
    parquet.write_table(table.set_column(index, "outcome", pa.array(np.full(len(table), 3, dtype="int8"))), file)

    made = curves.percentiles(run, [record])

    assert {2000.0} == set(made.ms)


def test_a_curve_has_a_bounded_number_of_points_and_ends_where_the_tail_is_too_thin(run):
    made = curves.percentiles(run, baselines(run))

    assert len(made.quantile) <= 200
    assert pytest.approx(1 - curves.BEYOND / made.requests) == made.quantile[-1]


def test_the_range_of_single_windows_ends_where_one_window_has_too_few_requests(run):
    made = curves.percentiles(run, baselines(run))

    assert len(made.high_ms) < len(made.ms)
    assert made.quantile[len(made.high_ms) - 1] <= 1 - curves.BEYOND / 1000


def test_the_clients_view_stands_at_the_times_at_which_requests_were_intended(run):
    p95, rate = curves.client(run, baselines(run)[0])

    assert (p95.column, rate.column) == ("p95_ms", "completed_s")
    assert p95.t_s == rate.t_s
    assert 0 < p95.t_s[0] < p95.t_s[-1] < run.study.window.measure_s
    assert sum(rate.values) * run.study.window.measure_s / len(rate.values) == pytest.approx(1000, rel=0.01)


@pytest.mark.parametrize("content", [None, b"", b"no parquet"])
def test_samples_that_are_gone_or_damaged_give_no_curve(run, content):
    for record in baselines(run):
        file = run.folder.window(record.n) / "samples.parquet"
        file.unlink() if content is None else file.write_bytes(content)

    assert curves.percentiles(run, baselines(run)) is None


def test_only_the_kind_that_the_objective_scores_is_drawn(tmp_path):
    folder = canned_run.write(tmp_path, samples=1000, changes={"objective": {**canned_run.OBJECTIVE, "of": "pay"}})
    run = read.run(folder)
    record = baselines_by_kind(run)

    assert curves.percentiles(run, [record]).requests == 1000
    assert (
        curves.percentiles(run, [record.model_copy(update={"by_request": dict(reversed(record.by_request.items()))})])
        is None
    )


def baselines_by_kind(run):
    record = run.history.of_phase("confirm")[0]
    return record.model_copy(update={"by_request": {"pay": record.metrics, "refund": record.metrics}})


def test_a_series_is_thinned_to_means_and_leaves_unknown_values_out(run):
    record = baselines(run)[0]
    file = run.folder.window(record.n) / "series.parquet"
    t = np.arange(1000) / 10
    parquet.write_table(pa.table({"t_s": t, "cpu": np.where(t < 1, np.nan, 0.5), "requests": t}), file)

    (cpu,) = curves.series(run, record)

    assert ("cpu", {0.5}) == (cpu.column, set(cpu.values))
    assert len(cpu.t_s) <= curves.MOST_POINTS
    assert cpu.t_s[0] >= 1


def test_a_window_without_a_series_has_none(run):
    (run.folder.window(baselines(run)[0].n) / "series.parquet").unlink()

    assert curves.series(run, baselines(run)[0]) == ()


def test_the_pair_to_look_into_is_the_one_with_the_middle_result(run):
    ratios = sorted(tested.metrics.p95_ms / base.metrics.p95_ms for tested, base in run.pairs)

    tested, base = curves.typical_pair(run)

    assert ratios[3] == tested.metrics.p95_ms / base.metrics.p95_ms
