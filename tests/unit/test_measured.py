"""The measured figures that the documents quote are those that are kept."""

import importlib.util
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "docs" / "measured" / "measure.json"


def bench():
    spec = importlib.util.spec_from_file_location("measure", ROOT / "bench" / "measure.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["measure"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_page_of_measured_figures_is_generated_from_what_is_kept():
    assert (ROOT / "docs" / "measured.md").read_text() == bench().page(json.loads(KEPT.read_text()))


def test_every_kept_row_has_what_ours_reference_and_their_ratio():
    rows = json.loads(KEPT.read_text())["rows"]

    assert len({row["what"] for row in rows}) == len(rows)
    for row in rows:
        assert row.keys() == {"what", "ours", "reference", "ratio"}
        assert abs(row["ratio"] - row["ours"] / row["reference"]) < 1e-9
