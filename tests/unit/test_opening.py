"""What is known to be impossible before the first window is named there."""

import resource
from dataclasses import replace

import pytest
from fakes import fake_study

from harness import opening
from harness.errors import MachineError
from harness.study.model import WebSocket

HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]


@pytest.mark.skipif(HARD == resource.RLIM_INFINITY, reason="no limit of open files here")
@pytest.mark.parametrize(
    ("idle", "connections", "lower"), [(HARD, 8, "load.websocket.idle"), (0, HARD, "load.connections")]
)
def test_more_connections_than_files_are_named_with_what_to_lower(idle, connections, lower):
    load = replace(fake_study().load, connections=connections, websocket=WebSocket("/chat", idle=idle))

    with pytest.raises(MachineError, match=f"connections open, and no process may have more than .*or lower {lower}"):
        opening._require_files(load)


def test_connections_that_fit_pass():
    opening._require_files(replace(fake_study().load, websocket=WebSocket("/chat", idle=100)))
