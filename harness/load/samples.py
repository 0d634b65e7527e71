"""The samples of a window on disk: exact, one row a request, as parquet. pyarrow is imported when it is needed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.load.job import SAMPLE_COLUMNS


@dataclass(frozen=True)
class Samples:
    """The columns of SAMPLE_COLUMNS as arrays of equal length."""

    intended_ns: npt.NDArray[np.int64]
    woken_ns: npt.NDArray[np.int64]
    sent_ns: npt.NDArray[np.int64]
    done_ns: npt.NDArray[np.int64]
    outcome: npt.NDArray[np.int8]
    status: npt.NDArray[np.int16]
    bytes: npt.NDArray[np.int32]
    kind: npt.NDArray[np.int16]
    connection: npt.NDArray[np.int32]


def load_parquet() -> None:
    """Import what `write` and `read` need (about 0.2 s), for a process that knows that it will write soon."""
    import pyarrow.parquet  # noqa: F401 - imported to have it in memory


def write(file: Path, samples: Samples) -> None:
    """Write all columns; OSError, with its number, where the disk refuses."""
    import pyarrow as pa
    from pyarrow import parquet

    columns = {field.name: getattr(samples, field.name) for field in fields(samples)}
    buffer = pa.BufferOutputStream()
    parquet.write_table(pa.table(columns, schema=pa.schema(SAMPLE_COLUMNS)), buffer, compression="zstd")
    file.write_bytes(buffer.getvalue())  # by Python, whose OSError says what the disk refused


def read(file: Path) -> Samples:
    """Read all columns."""
    from pyarrow import parquet

    table = parquet.read_table(file, columns=list(SAMPLE_COLUMNS))
    columns: dict[str, Any] = {name: table[name].to_numpy() for name in SAMPLE_COLUMNS}
    return Samples(**columns)
