"""What a sweep makes of the files that dead runs left."""

import os
import subprocess

import pytest

from harness.target import leftovers, proc


@pytest.fixture(autouse=True)
def no_engine(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")


def left(tmp_path, text):
    file = tmp_path / "study" / "run" / "children.json"
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("text", ["", "{", "[]", '{"owner": "x"}', '{"owner": 1, "children": 2}', '"text"'])
def test_a_torn_record_ends_nothing_and_stops_nothing(tmp_path, text):
    left(tmp_path, text)

    assert leftovers.sweep(tmp_path) == ()


def test_a_folder_without_runs_has_no_leftovers(tmp_path):
    assert leftovers.sweep(tmp_path / "none") == ()


def test_a_child_of_a_dead_owner_is_ended_and_told(tmp_path):
    child = subprocess.Popen(["sleep", "60"])
    file = left(tmp_path, f'{{"owner": "1:1:gone:1", "children": ["{proc.identity(child.pid)}"]}}')

    assert leftovers.sweep(tmp_path) == (f"ended process {child.pid}, left by a run that died",)
    assert child.wait() == -9
    assert not file.exists()


def test_a_child_of_a_living_owner_is_spared_and_its_record_kept(tmp_path):
    child = subprocess.Popen(["sleep", "60"])
    file = left(tmp_path, f'{{"owner": "{proc.identity(os.getpid())}", "children": ["{proc.identity(child.pid)}"]}}')
    said = leftovers.sweep(tmp_path)
    lives = child.poll() is None
    child.kill()
    child.wait()

    assert (said, lives, file.exists()) == ((), True, True)
