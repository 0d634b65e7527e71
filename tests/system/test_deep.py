"""`harness diagnose --deep` on a real target, and the port that its console's command promises."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from harness import variant as variants
from harness.study import load
from harness.target import build, inspect

pytestmark = [pytest.mark.cargo, pytest.mark.load, pytest.mark.timeout(900)]
ROOT = Path(__file__).resolve().parents[2]
STUDY = """\
study: deep
target: {template: payments, memory: 256MiB, set: {check_ms: 8, check_cpu_ms: 4}}
load:
  rate: 60
  connections: 16
  timeout: 1s
  requests:
    - {name: pay, method: POST, path: /payments, json: {amount: 1200}}
window: {warmup: 500ms, measure: 3s}
objective: {minimize: p95}
knobs:
  worker_threads: [unset, 4]
"""
OWN = """\
study: deep
target: {path: own_crate}
load: {rate: 100, connections: 8, timeout: 1s, requests: [{name: get, path: /}]}
window: {warmup: 500ms, measure: 1s}
objective: {minimize: p95}
knobs:
  worker_threads: [unset, 4]
"""
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
SETTINGS = 4


@pytest.fixture(autouse=True)
def shared_cache(monkeypatch):
    """The build cache that the contract tests of programs use: a cold diagnostic build takes a minute and more."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path(tempfile.gettempdir()) / f"harness-tests-{os.getuid()}"))


def diagnosed(harness, text):
    (harness.folder / "study.yaml").write_text(text)
    arguments = ("study.yaml", "--deep", "--backend", "process", "--windows", "1", "--wait", "200", "--json")
    done = harness("diagnose", *arguments, timeout=890)
    if done.returncode == 4:
        pytest.skip(f"the machine is too busy to diagnose anything: {done.stderr.strip()[-300:]}")

    assert done.returncode == 0, done.stderr
    (page,) = harness.folder.glob("results/deep/diagnoses/*/diagnosis.html")
    return json.loads(done.stdout), page


def test_the_flame_graph_names_what_computes_and_the_dump_names_tasks(harness):
    content, page = diagnosed(harness, STUDY)
    tasks = (page.parent / "tasks.txt").read_text()

    assert content["inside"]["missing"] == []
    assert any("fraud" in one["name"] and one["on_stack"] > 0.3 for one in content["inside"]["hottest"])
    assert "payments::fraud" in (page.parent / "flamegraph.svg").read_text()
    assert tasks.startswith("runtime 1 (multi_thread): ")
    assert "hyper" in tasks
    assert 'class="inside"' in page.read_text()
    assert page.stat().st_size < 3_000_000
    # The window of the diagnostic build is in no ledger.
    assert len((page.parent / "windows.jsonl").read_text().splitlines()) == len(content["windows"]["used"])


def test_an_own_crate_without_the_feature_is_told_once_and_diagnosed_all_the_same(harness):
    shutil.copytree(ROOT / "tests" / "own_crate", harness.folder / "own_crate", ignore=shutil.ignore_patterns("target"))
    content, page = diagnosed(harness, OWN)

    (words,) = content["inside"]["missing"]
    assert "nothing inside it is looked at" in words
    assert page.read_text().count("nothing inside it is looked at") == 1
    assert content["windows"]["used"] == [1]


@contextmanager
def started(program, **more):
    ports = inspect.free_ports()
    environment = {**program.environment, "PORT": str(ports[0]), "ADMIN_PORT": str(ports[1]), **more}
    process = subprocess.Popen([program.binary], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 20
        while inspect._get(ports[1], "/healthz", 1.0)[0] != 200:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end, "the program was not ready"
            time.sleep(0.02)
        yield ports[1]
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.mark.parametrize("version", ["1.47", "1.51", "1.54"])
def test_with_every_version_of_tokio_the_program_serves_its_console_and_dumps_its_tasks(tmp_path, version):
    file = tmp_path / "study.yaml"
    other = "1.47" if version == "1.54" else "1.54"
    file.write_text(STUDY.replace("worker_threads: [unset, 4]", f'tokio: ["{version}", "{other}"]'))
    study = load(file)
    program = build.build_diagnostic(study, variants.of(study, {"tokio": version}))
    with closing(socket.create_server(("127.0.0.1", 0))) as held:
        console = held.getsockname()[1]

    with started(program, TOKIO_CONSOLE_BIND=f"127.0.0.1:{console}") as admin_port:
        with socket.create_connection(("127.0.0.1", console), 5) as client:
            client.sendall(HTTP2_PREFACE)
            answer = client.recv(9)
        tasks, why = inspect.inside(admin_port, "/debug/tasks", 20)

    assert answer[3] == SETTINGS
    if version == "1.54" or not why:
        assert why == ""
        assert tasks.startswith("runtime 1 (multi_thread): ")
    else:
        assert "with Tokio 1.47 and 1.51 that happens to idle workers too" in why
