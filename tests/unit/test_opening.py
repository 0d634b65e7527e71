"""What is known to be impossible before the first window is named there."""

import resource
from dataclasses import replace

import pytest
from fakes import fake_study

from harness import opening
from harness.errors import MachineError
from harness.study.model import WebSocket
from harness.window.cores import available

HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]


@pytest.mark.skipif(HARD == resource.RLIM_INFINITY, reason="no limit of open files here")
@pytest.mark.parametrize(
    ("idle", "connections", "lower"), [(HARD, 8, "load.websocket.idle"), (0, HARD, "load.connections")]
)
def test_more_connections_than_files_are_named_with_what_to_lower(idle, connections, lower):
    load = replace(fake_study().load, connections=connections, websocket=WebSocket("/chat", idle=idle))

    with pytest.raises(MachineError, match=f"connections open, and no process may have more than .*or lower {lower}"):
        opening._require_files(load)


def test_a_study_that_needs_more_cores_than_there_are_is_told_what_it_needs_and_what_to_do():
    with pytest.raises(
        MachineError, match=r"fake needs 4096 cores .* this process may use .* run it on a larger machine"
    ):
        opening.require_cores(fake_study(needs_cores=4096))


def test_a_study_that_needs_what_there_is_passes():
    opening.require_cores(fake_study(needs_cores=len(available())))


def test_connections_that_fit_pass():
    opening._require_files(replace(fake_study().load, websocket=WebSocket("/chat", idle=100)))
