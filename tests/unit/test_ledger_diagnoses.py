"""Diagnoses beside the runs: leftovers of theirs are swept, their samples are thinned, like those of runs."""

import os

from harness.cli.clean import _thinnable
from harness.ledger.folder import DIAGNOSES
from harness.target import leftovers


def test_children_that_a_dead_diagnosis_left_are_swept(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    folder = tmp_path / "quick" / DIAGNOSES / "now"
    folder.mkdir(parents=True)
    (folder / "children.json").write_text('{"owner": "1:1:gone:1", "children": []}')

    leftovers.sweep(tmp_path)

    assert not (folder / "children.json").exists()


def test_samples_of_old_diagnoses_are_thinned_apart_from_those_of_runs(tmp_path):
    for name, done in (("1", "diagnosis.json"), ("2", "diagnosis.json"), ("3", "none")):
        folder = tmp_path / "quick" / DIAGNOSES / name
        (folder / "windows").mkdir(parents=True)
        for file in ("run.json", done):
            (folder / file).write_text("{}")

    found = [os.path.relpath(path, tmp_path) for path in _thinnable([tmp_path / "quick"], 1)]

    assert found == [f"quick/{DIAGNOSES}/1/windows", f"quick/{DIAGNOSES}/2/windows"]
