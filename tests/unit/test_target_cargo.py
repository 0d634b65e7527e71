"""cargo's environment, and what its failures mean."""

import pytest

from harness.errors import MachineError
from harness.target import cargo
from harness.target.service import TargetFailed

CALLER = {
    "PATH": "/bin",
    "HOME": "/home/a",
    "https_proxy": "proxy",
    "SSL_CERT_FILE": "certificates",
    "CARGO_HOME": "/cargo",
    "CARGO_HTTP_CAINFO": "certificates",
    "CARGO_NET_RETRY": "3",
    "RUSTUP_TOOLCHAIN": "stable",
}
FOREIGN = {
    "RUSTFLAGS": "-C opt-level=0",
    "CARGO_TARGET_DIR": "/elsewhere",
    "CARGO_PROFILE_RELEASE_LTO": "fat",
    "CARGO_ENCODED_RUSTFLAGS": "-g",
    "CARGO_BUILD_TARGET": "wasm32-unknown-unknown",
    "RUSTC_WRAPPER": "cached",
    "TOKIO_WORKER_THREADS": "7",
    "MAKEFLAGS": " -j2 --jobserver-auth=3,4",
}


def test_cargo_gets_the_callers_environment_without_what_changes_the_program():
    assert cargo.environment({**CALLER, **FOREIGN}) == CALLER


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("error: linker `cc` not found\n  |\n  = note: No such file or directory", "build-essential"),
        ("error: linking with `cc` failed\n  = note: /usr/bin/ld: cannot find -lc: No such file", "libc6-dev"),
        ("error: failed to download from `https://a.crate`\n\nCaused by:\n  Could not resolve host", "cargo fetch"),
        ("error: failed to get `tokio` as a dependency\n\nCaused by:\n  Unable to update registry", "cargo fetch"),
        ("error: rustc 1.70.0 is not supported by the following package:", "rustup update"),
        ("error: feature `edition2024` is required", "rustup update"),
        ("error: could not write output: No space left on device (os error 28)", "harness clean"),
        ("cannot run cargo: No such file or directory", "rustup"),
    ],
)
def test_a_machine_that_cannot_compile_is_told_from_a_program_that_does_not(log, said):
    found = cargo.fault(101, log)

    assert isinstance(found, MachineError)
    assert said in str(found)


def test_a_program_that_does_not_compile_is_told_with_its_first_error_and_last_lines():
    lines = [f"warning {number}" for number in range(30)]
    log = "\n".join([*lines, "error[E0599]: no method named `worker_thread`", *lines, "error: could not compile"])

    found = cargo.fault(101, log)

    assert isinstance(found, TargetFailed)
    assert found.reason == "the variant does not build: error[E0599]: no method named `worker_thread`"
    assert len(found.log.splitlines()) == 20


def test_a_library_of_the_target_that_is_missing_is_not_taken_for_the_c_library():
    found = cargo.fault(101, "error: linking with `cc` failed\n  = note: /usr/bin/ld: cannot find -lcurl")

    assert isinstance(found, TargetFailed)


def test_a_cargo_that_was_killed_is_told_by_its_signal():
    assert cargo.fault(-9, "   Compiling tokio v1.54.1").reason == "the variant does not build: killed by SIGKILL"
