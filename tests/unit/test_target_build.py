"""The order of a build, with stand-ins for cargo and rustc on PATH."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness import variant as variants
from harness.errors import MachineError, StudyError
from harness.study import load
from harness.target import build, proc
from harness.target.service import TargetFailed

STUDY = """\
study: built
target: {path: crate, cpus: 1}
load: {model: open, rate: 300, connections: 8, timeout: 2s, requests: [{name: get, path: /}]}
window: {warmup: 1s, measure: 7s}
objective: {minimize: p95}
knobs: {max_blocking_threads: [unset, 8], kind: [plain, other]}
"""
RUNTIME = """\
pub fn build() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}
"""
CARGO = """#!/bin/sh
echo "$@" >> calls
echo "RUSTFLAGS=$RUSTFLAGS TOKIO_WORKER_THREADS=$TOKIO_WORKER_THREADS" >> calls
mkdir -p "$CARGO_TARGET_DIR/x86_64-stand-in/release"
cat src/runtime.rs > "$CARGO_TARGET_DIR/x86_64-stand-in/release/own"
"""


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A folder with stand-ins for cargo and rustc, alone before the system's own commands on PATH."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def write(name, script):
        (folder / name).write_text(script, encoding="utf-8")
        (folder / name).chmod(0o755)

    write("cargo", CARGO)
    write("rustc", "#!/bin/sh\necho 'rustc 1.90.0'\necho 'host: x86_64-stand-in'\n")
    return write


@pytest.fixture
def study(tmp_path):
    crate = tmp_path / "crate"
    (crate / "src").mkdir(parents=True)
    (crate / "target").mkdir()
    (crate / "target" / "huge").write_text("never copied")
    (crate / "Cargo.toml").write_text('[package]\nname = "own"\nedition = "2024"\n')
    (crate / "src" / "main.rs").write_text("mod runtime;\nfn main() {}\n")
    (crate / "src" / "runtime.rs").write_text(RUNTIME)
    (crate / "target.toml").write_text(
        '[options.kind]\nkind = "choice"\nchoices = ["plain", "other"]\ndefault = "plain"\nabout = "An option."\n'
    )
    file = tmp_path / "study.yaml"
    file.write_text(STUDY)
    return load(file)


def calls(tmp_path):
    return [line for file in tmp_path.glob("cache/tokio-harness/src/*/calls") for line in file.read_text().splitlines()]


@pytest.mark.usefixtures("tools")
def test_a_program_is_built_once_and_then_taken_from_the_cache(study, tmp_path):
    first, second = (build.build(study, variants.baseline(study)) for _ in range(2))

    assert [first.cached, second.cached] == [False, True]
    assert first.binary.read_text() == RUNTIME
    assert first.digest == second.digest
    assert len(calls(tmp_path)) == 2


@pytest.mark.usefixtures("tools")
def test_variants_that_differ_in_options_share_a_program_but_not_an_environment(study):
    plain, other = (build.build(study, variants.of(study, {"kind": kind})) for kind in ("plain", "other"))

    assert (plain.binary, other.cached) == (other.binary, True)
    assert [plain.environment, other.environment] == [{"OPT_KIND": "plain"}, {"OPT_KIND": "other"}]


@pytest.mark.usefixtures("tools")
def test_a_knob_replaces_the_one_file_and_nothing_of_the_persons_own(study, tmp_path):
    built = build.build(study, variants.of(study, {"max_blocking_threads": 8}))

    assert ".max_blocking_threads(8)" in built.binary.read_text()
    assert built.runtime_rs == built.binary.read_text()
    assert (tmp_path / "crate" / "src" / "runtime.rs").read_text() == RUNTIME
    assert not list(tmp_path.glob("cache/tokio-harness/src/*/target"))


@pytest.mark.usefixtures("tools")
def test_cargo_is_called_for_release_with_an_explicit_target_and_flags_of_the_harness(study, tmp_path, monkeypatch):
    monkeypatch.setenv("RUSTFLAGS", "-C opt-level=0")
    monkeypatch.setenv("TOKIO_WORKER_THREADS", "9")
    build.build(study, variants.baseline(study))

    assert calls(tmp_path) == [
        "build --release --target x86_64-stand-in --package own --bin own",
        "RUSTFLAGS=--cfg tokio_unstable -C target-feature=+crt-static TOKIO_WORKER_THREADS=",
    ]


@pytest.mark.usefixtures("tools")
def test_a_diagnostic_build_has_its_own_feature_flags_folder_and_program(study, tmp_path):
    scored = build.build(study, variants.baseline(study))
    inside = build.build_diagnostic(study, variants.baseline(study))

    assert (
        calls(tmp_path)[2] == "build --release --target x86_64-stand-in --package own --bin own --features diagnostic"
    )
    assert inside.binary != scored.binary
    assert len(list(tmp_path.glob("cache/tokio-harness/cargo/*"))) == 2
    assert inside.environment == {**scored.environment, "TMPDIR": "/dev/shm"}


@pytest.mark.usefixtures("tools")
def test_what_is_scored_is_the_same_program_after_a_diagnostic_build_and_never_has_its_feature(study, tmp_path):
    build.build_diagnostic(study, variants.baseline(study))
    first, second = (build.build(study, variants.baseline(study)) for _ in range(2))

    assert [first.cached, second.cached] == [False, True]
    assert [line for line in calls(tmp_path)[2:] if "diagnostic" in line or "taskdump" in line] == []


def test_another_compiler_builds_another_program(tools, study):
    first = build.build(study, variants.baseline(study))
    tools("rustc", "#!/bin/sh\necho 'rustc 1.91.0'\necho 'host: x86_64-stand-in'\n")
    second = build.build(study, variants.baseline(study))

    assert not second.cached
    assert first.binary != second.binary


def test_a_failed_build_leaves_nothing_that_counts_as_built(tools, study):
    tools("cargo", "#!/bin/sh\necho 'error: it is wrong' >&2\nexit 101\n")
    for _ in range(2):
        with pytest.raises(TargetFailed, match="the variant does not build: error: it is wrong"):
            build.build(study, variants.baseline(study))
    tools("cargo", CARGO)

    assert not build.build(study, variants.baseline(study)).cached


def test_no_compiler_is_a_fault_of_the_machine(study, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    with pytest.raises(MachineError, match="rustc is not on PATH; install Rust"):
        build.build(study, variants.baseline(study))


@pytest.mark.usefixtures("tools")
def test_no_cargo_beside_a_compiler_is_a_fault_of_the_machine(study, tmp_path):
    (tmp_path / "tools" / "cargo").unlink()

    with pytest.raises(MachineError, match="cargo is not on PATH; install Rust"):
        build.build(study, variants.baseline(study))


@pytest.mark.usefixtures("tools")
def test_a_cache_that_cannot_be_written_is_a_fault_of_the_machine(study, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")

    with pytest.raises(MachineError, match="XDG_CACHE_HOME"):
        build.build(study, variants.baseline(study))


@pytest.mark.usefixtures("tools")
def test_sources_that_changed_after_the_study_was_read_are_not_built(study, tmp_path):
    (tmp_path / "crate" / "src" / "main.rs").write_text("mod runtime;\nfn main() { todo() }\n")

    with pytest.raises(StudyError, match="changed after the study was read"):
        build.build(study, variants.baseline(study))


@pytest.mark.usefixtures("tools")
def test_sources_that_change_later_do_not_reach_the_run(study, tmp_path):
    build.build(study, variants.baseline(study))
    (tmp_path / "crate" / "src" / "main.rs").write_text("changed")
    build.build(study, variants.of(study, {"max_blocking_threads": 8}))

    assert [file.read_text() for file in tmp_path.glob("cache/tokio-harness/src/*/src/main.rs")] == [
        "mod runtime;\nfn main() {}\n"
    ]


@pytest.fixture
def interruptible():
    """Ctrl-C means what it does in a terminal: a worker of pytest-xdist ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_build_ends_cargo_and_what_it_started(tools, study, tmp_path):
    pids = tmp_path / "pids"
    tools("cargo", f"#!/bin/sh\nsleep 60 &\necho $$ $! > {pids}.new\nmv {pids}.new {pids}\nwait\n")

    def interrupt():
        while not pids.exists():
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        build.build(study, variants.baseline(study))

    assert all(proc.wait_gone(int(pid), 5) for pid in pids.read_text().split())


@pytest.mark.usefixtures("study")
def test_cargo_dies_with_a_harness_that_is_killed(tools, tmp_path):
    pid_file = tmp_path / "pid"
    tools("cargo", f"#!/bin/sh\necho $$ > {pid_file}.new\nmv {pid_file}.new {pid_file}\nexec sleep 60\n")
    code = (
        "import sys; from pathlib import Path; from harness import variant; from harness.study import load;"
        "from harness.target import build; s = load(Path(sys.argv[1])); build.build(s, variant.baseline(s))"
    )
    harness = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "study.yaml")], env=dict(os.environ))
    while not pid_file.exists():
        time.sleep(0.01)
    harness.kill()
    harness.wait()

    assert proc.wait_gone(int(pid_file.read_text()), 5)


def test_the_log_of_a_build_stays_beside_its_program(tools, study):
    tools("cargo", f"{CARGO}echo '   Compiling own' >&2\n")
    built = build.build(study, variants.baseline(study))

    assert built.binary.with_name("build.log").read_text() == "   Compiling own\n"
    assert Path(built.binary).stat().st_size > 0
