"""What the doctor looks at."""

import pytest

from harness.errors import MachineError
from harness.target import docker, toolchain
from harness.target.docker import DockerBackend
from harness.target.service import Placement, Program


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("cargo 1.95.0 (f2d3ce0bd 2026-03-21)", (1, 95)),
        ("rustc 1.85.0-nightly (aaa 2026-01-01)", (1, 85)),
        ("zsh: command not found", (0, 0)),
    ],
)
def test_a_version_is_read_from_what_the_tool_says(said, version):
    assert toolchain.rust_version(said) == version


def test_every_check_runs_and_names_what_would_mend_it():
    found = toolchain.checks()

    assert len({check.name for check in found}) == len(toolchain.CHECKS)
    assert all(check.name and check.detail and check.mend for check in found)


def test_a_machine_without_tools_is_told_all_that_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    missing = [check.name for check in toolchain.checks() if not check.ok and check.name in DEPENDENT]

    assert missing == DEPENDENT


DEPENDENT = ["cargo", "rustc", "linker", "static libc", "Docker"]


def test_docker_is_not_needed_because_there_is_another_backend(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    found = next(check for check in toolchain.checks() if check.name == "Docker")

    assert (found.ok, found.needed) == (False, False)
    assert "process backend" in found.detail


def test_an_engine_that_is_not_there_is_a_reason_and_not_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")

    assert DockerBackend.available() == f"no engine can be reached at {tmp_path}/no.sock (No such file or directory)"
    assert docker.remove_leftovers() == ()


def test_serving_without_an_engine_is_a_fault_of_the_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    backend = DockerBackend("run")
    program = Program("v", tmp_path / "server", "digest", {}, "", build_s=0.0, cached=True)
    place = Placement((0,), None, 1, 2, "nonce")

    with pytest.raises(MachineError, match="systemctl start docker"), backend.serve(program, place):
        pass
    backend.close()


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ({"Name": "elsewhere"}, "another machine"),
        ({"Name": "here", "SecurityOptions": ["name=seccomp", "name=rootless"]}, "rootless"),
        ({"Name": "here", "SecurityOptions": ["name=userns"]}, "remaps users"),
    ],
)
def test_an_engine_whose_containers_cannot_use_this_loopback_is_not_taken(info, said):
    assert said in docker.obstacle(info, "here")


def test_an_engine_of_this_host_is_taken():
    assert docker.obstacle({"Name": "here", "SecurityOptions": None}, "here") is None
