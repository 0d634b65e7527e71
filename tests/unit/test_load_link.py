"""A link's sockets on loopback, without a loop: which address they come from, and what counts as opened."""

import select
import socket
from contextlib import closing

import pytest
from test_load_models import ENGINE

from harness.load.link import FROM_EACH, Link


class Silent(Link):
    """A link that only opens."""

    def send(self, *_, **__):
        raise AssertionError

    def _came_up(self):
        pass

    def _take(self, *_):
        raise AssertionError


@pytest.fixture
def listening():
    with closing(socket.create_server(("127.0.0.1", 0))) as made:
        yield made


@pytest.mark.parametrize(
    ("number", "address"), [(0, "127.0.0.1"), (FROM_EACH, "127.0.0.2"), (3 * FROM_EACH + 7, "127.0.0.4")]
)
def test_more_connections_than_one_address_has_ports_come_from_the_next_address(listening, number, address):
    link = Silent(ENGINE, listening.getsockname()[1], number, None)
    link.open()
    accepted, (came_from, _) = listening.accept()

    with accepted:
        assert came_from == address
    link.close()


def test_the_listener_is_told_of_every_read_once_it_is_dealt_with(listening):
    told = []

    class Hearing(Silent):
        def _take(self, data, at_ns):
            told.append((bytes(data), at_ns))

    class Noting:
        def read(self, at_ns):
            told.append(("read", at_ns))

    link = Hearing(ENGINE, listening.getsockname()[1], 0, Noting())
    link.open()
    accepted, _ = listening.accept()
    with accepted:
        accepted.sendall(b"news")
        select.select([link._socket], [], [], 5.0)
        link._readable()
    link.close()

    (data, at_ns), told_ns = told[0], told[1]
    assert data == b"news"
    assert told_ns == ("read", at_ns)


def test_a_connection_counts_as_opened_when_the_server_may_have_it_and_not_when_it_is_refused(listening):
    taken, refused = Silent(ENGINE, listening.getsockname()[1], 0, None), Silent(ENGINE, 1, 1, None)
    taken.open()  # the kernel hands it to the server; nobody on our side has looked yet
    refused.open()
    refused._connecting() if refused._writer else None
    taken.close()
    refused.close()

    assert (taken.opened, refused.opened) == (1, 0)
