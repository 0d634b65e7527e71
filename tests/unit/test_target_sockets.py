"""Who listens on a port."""

import os
import socket
import subprocess
import sys

import pytest

from harness.target import sockets

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LISTENER = (
    "import socket,sys; s=socket.create_server(('127.0.0.1',0)); print(s.getsockname()[1],flush=True); sys.stdin.read()"
)


def row(address, state="0A", inode=77):
    return (
        f"   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0 100\n"
    )


@pytest.fixture
def listening():
    process = subprocess.Popen(
        [sys.executable, "-c", LISTENER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process, int(process.stdout.readline())
    process.stdin.close()
    process.wait()
    process.stdout.close()


@pytest.fixture
def bystander():
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize(
    "address",
    [
        "0100007F:1F90",
        "00000000:1F90",
        "00000000000000000000000000000000:1F90",
        "0000000000000000FFFF00000100007F:1F90",
    ],
)
def test_every_address_that_takes_loopback_connections_counts(address):
    assert sockets.parse_listeners(HEAD + row(address), 8080) == {77}


@pytest.mark.parametrize("line", [row("0100007F:1F91"), row("0100007F:1F90", state="01"), row("0200000A:1F90")])
def test_another_port_state_or_address_does_not_count(line):
    assert sockets.parse_listeners(HEAD + line, 8080) == frozenset()


def test_a_port_that_nobody_holds_has_no_holder():
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))

        assert sockets.foreign_holder(reserved.getsockname()[1], os.getpid()) is None


def test_a_process_is_no_stranger_to_its_own_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert sockets.foreign_holder(server.getsockname()[1], os.getpid()) is None


def test_a_child_holds_a_port_for_its_parent(listening):
    _, port = listening

    assert sockets.foreign_holder(port, os.getpid()) is None


def test_another_process_is_named_with_pid_and_command(listening, bystander):
    process, port = listening

    assert sockets.foreign_holder(port, bystander.pid).words.startswith(f"pid {process.pid} python")


def test_a_process_that_is_gone_holds_nothing(listening):
    process, port = listening

    assert sockets.foreign_holder(port, 2**22 + 1).pid == process.pid


def test_a_holder_that_may_not_be_looked_at_is_of_another_user():
    assert sockets.Holder(None, None).words == "of another user"
