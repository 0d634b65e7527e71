"""Writes docs/study.schema.json from the models: `python -m harness.study.schema_file`."""

from __future__ import annotations

import json
from pathlib import Path

from harness.study.editor import json_schema

FILE = Path(__file__).resolve().parents[2] / "docs" / "study.schema.json"


def text() -> str:
    """Return the file's content as it should be."""
    return json.dumps(json_schema(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(text(), encoding="utf-8")
