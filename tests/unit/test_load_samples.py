"""Samples come back from disk as they were, with exactly the columns of the contract."""

import errno
import subprocess
import sys

import numpy as np
import pytest
from pyarrow import parquet

from harness.load import samples
from harness.load.job import COMPLETED, SAMPLE_COLUMNS, UNFINISHED
from harness.load.rows import Rows
from harness.load.samples import Samples


def some(count):
    return Samples(**{name: np.arange(count).astype(kind) for name, kind in SAMPLE_COLUMNS.items()})


@pytest.mark.parametrize("count", [0, 1, 100])
def test_samples_come_back_as_they_were(tmp_path, count):
    file = tmp_path / "samples.parquet"
    samples.write(file, some(count))
    back = samples.read(file)

    for name, kind in SAMPLE_COLUMNS.items():
        assert getattr(back, name).dtype == kind
        assert np.array_equal(getattr(back, name), getattr(some(count), name))


def test_the_file_has_the_columns_of_the_contract_compressed_with_zstd(tmp_path):
    file = tmp_path / "samples.parquet"
    samples.write(file, some(10))
    written = parquet.ParquetFile(file)

    assert {field.name: str(field.type) for field in written.schema_arrow} == SAMPLE_COLUMNS
    assert written.metadata.row_group(0).column(0).compression == "ZSTD"


def test_a_place_that_cannot_be_written_gives_the_systems_own_error(tmp_path):
    with pytest.raises(OSError, match="samples") as caught:
        samples.write(tmp_path / "missing" / "samples.parquet", some(1))

    assert caught.value.errno == errno.ENOENT


def test_importing_the_module_does_not_load_pyarrow():
    code = "import sys, harness.load.samples\nassert 'pyarrow' not in sys.modules"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_lies_outside_the_measured_stretch_is_left_out_and_what_has_no_outcome_is_unfinished():
    rows = Rows()
    for now in (9, 10, 19, 20):
        rows.add(kind=1, intended_ns=now, woken_ns=now)
    rows.outcome[1] = COMPLETED
    rows.size[1] = 2**40  # more than the column holds

    taken = rows.samples(10, 20)

    assert taken.intended_ns.tolist() == [10, 19]
    assert taken.outcome.tolist() == [COMPLETED, UNFINISHED]
    assert taken.bytes.tolist() == [2**31 - 1, 0]
