"""WebSocket servers of known behaviour, in a process of their own: `python websocket_servers.py NAME`, prints its port.

Counts and prints "handshakes messages pongs" when its standard input is closed. With PORT and ADMIN_PORT in its
environment it serves there, and answers on the admin port as a target's probe does: handshakes are its requests.
"""

import asyncio
import os
import sys
import time

import servers
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Message,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
FEW = 5
WRONG_HANDSHAKES = {
    "wrong_key": SWITCHING + b"sec-websocket-accept: no\r\n\r\n",
    "no_ascii": SWITCHING + b"sec-websocket-protocol: caf\xc3\xa9\r\n\r\n",
    "speaks_tls": bytes([0x15, 3, 1, 0, 2, 2, 10]),
    "wrong_handshake_later": SWITCHING + b"sec-websocket-protocol: caf\xc3\xa9\r\n\r\n",
}


class Behaviour:
    """How one server answers message number `count`; `clients` are those connected."""

    def __init__(self, name):
        self.name, self.messages, self.handshakes, self.begun = name, 0, 0, time.monotonic()
        self.clients, self.spoke, self.lot, self.pongs, self.connections = {}, set(), [], 0, 0
        self.at_chat = 0

    @property
    def count(self):
        """The requests that the HTTP side of a server sees."""
        return self.handshakes

    async def answer(self, event, frames, writer):
        self.messages += 1
        return await getattr(self, self.name)(event, frames, writer)

    async def echo(self, event, frames, writer):
        writer.write(frames.send(type(event)(data=event.data)))

    async def two_ms(self, event, frames, writer):
        end = time.perf_counter() + 0.002
        await asyncio.sleep(0.0008)
        while time.perf_counter() < end:
            await asyncio.sleep(0)
        await self.echo(event, frames, writer)

    async def stall(self, event, frames, writer):
        """Stop for one second, once, two seconds after the first message."""
        if self.messages == 1:
            self.begun = time.monotonic()
        if self.begun is not None and time.monotonic() - self.begun > 2:
            self.begun = None
            time.sleep(1)
        await self.echo(event, frames, writer)

    async def drops_every_tenth(self, event, frames, writer):
        if self.messages % 10 == 0:
            writer.transport.abort()
            return
        await self.echo(event, frames, writer)

    async def goes_silent(self, event, frames, writer):
        if self.messages <= 200:
            await self.echo(event, frames, writer)

    async def pings_first(self, event, frames, writer):
        """Greets, pings, echoes in two fragments, and says something that nobody asked for."""
        writer.write(frames.send(TextMessage(data="welcome")))
        writer.write(frames.send(Ping(payload=b"there?")))
        half = len(event.data) // 2
        writer.write(frames.send(TextMessage(data=event.data[:half], message_finished=False)))
        await writer.drain()
        writer.write(frames.send(TextMessage(data=event.data[half:])))

    async def broadcast(self, event, frames, writer):
        for other, to in list(self.clients.items()):
            to.write(other.send(type(event)(data=event.data)))

    async def forgets_one(self, event, frames, writer):
        """Broadcasts, but from the hundredth message on not to the client that came last."""
        known = list(self.clients.items())
        for other, to in known[: len(known) - (self.messages > 100)]:
            to.write(other.send(type(event)(data=event.data)))

    async def broadcasts_and_drops_the_sender(self, event, frames, writer):
        """Every tenth message reaches its sender, ends the sender's connection, and reaches the others later."""
        if self.messages % 10:
            await self.broadcast(event, frames, writer)
            return
        await self.echo(event, frames, writer)
        await writer.drain()
        writer.transport.abort()
        self.clients.pop(frames, None)
        await asyncio.sleep(0.01)
        await self.broadcast(event, frames, writer)

    async def broadcasts_in_lots(self, event, frames, writer):
        """Puts five messages together before it sends them to everybody."""
        self.lot.append(event.data)
        if self.messages == 1 or len(self.lot) == 5:
            whole, self.lot = "\n".join(self.lot), []
            for other, to in list(self.clients.items()):
                to.write(other.send(TextMessage(data=whole)))

    async def says_goodbye(self, event, frames, writer):
        """From the second connection on: echo, a ping and the end of the connection, all in one segment."""
        said = frames.send(type(event)(data=event.data))
        if self.handshakes > 1:
            said += frames.send(Ping()) + frames.send(CloseConnection(code=1000))
        writer.write(said)

    async def hangs_up_at_once(self, event, frames, writer):
        await self.echo(event, frames, writer)

    async def drops_the_quiet(self, event, frames, writer):
        self.spoke.add(frames)
        await self.echo(event, frames, writer)

    async def pings_everybody(self, event, frames, writer):
        if self.messages == 1:
            self.task = asyncio.get_running_loop().create_task(self.ping())
        await self.echo(event, frames, writer)

    async def ping(self):
        while True:
            await asyncio.sleep(0.1)
            for other, to in list(self.clients.items()):
                to.write(other.send(Ping(payload=b"there?")))

    async def never_reads(self, event, frames, writer):
        """Echoes a few, then takes no byte more from anybody."""
        await self.echo(event, frames, writer)
        if self.messages == 20:
            await asyncio.sleep(0.05)
            for to in self.clients.values():
                to.transport.pause_reading()

    async def garbage_every_tenth(self, event, frames, writer):
        if self.messages % 10 == 0:
            writer.write(b"\xff\xffSMTP ready\r\n")
        else:
            await self.echo(event, frames, writer)

    async def asks_itself(self, event, frames, writer):
        """Counts every tenth message as one more handshake, as if somebody else had connected."""
        self.handshakes += self.messages % 10 == 0
        await self.echo(event, frames, writer)

    async def mute(self, event, frames, writer):
        """Takes every handshake and never says a word."""

    rejects = wrong_key = no_ascii = speaks_tls = mute  # never called: they take no handshake
    wrong_handshake_later = few_at_chat = echo


async def serve(name):  # noqa: C901 - the treatments of one connection, side by side
    behaviour = Behaviour(name)

    async def connected(reader, writer):
        behaviour.connections += 1
        frames = WSConnection(ConnectionType.SERVER)
        try:
            while data := await reader.read(65536):
                frames.receive_data(data)
                for event in frames.events():
                    await heard(event, frames, writer)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            behaviour.clients.pop(frames, None)
            writer.close()

    def drop_if_quiet(frames, writer):
        if frames not in behaviour.spoke:
            writer.transport.abort()

    async def heard(event, frames, writer):
        if isinstance(event, Request):
            behaviour.handshakes += 1
            behaviour.at_chat += event.target == "/chat"
            if name == "rejects" or (name == "few_at_chat" and event.target == "/chat" and behaviour.at_chat > FEW):
                writer.write(frames.send(RejectConnection(status_code=403)))
                return
            if name in WRONG_HANDSHAKES and behaviour.handshakes > (name == "wrong_handshake_later"):
                writer.write(WRONG_HANDSHAKES[name])
                return
            chosen = event.subprotocols[0] if event.subprotocols else None
            writer.write(frames.send(AcceptConnection(subprotocol=chosen)))
            behaviour.clients[frames] = writer
            if name == "hangs_up_at_once" and behaviour.messages > 100:
                writer.transport.abort()
            if name == "drops_the_quiet" and behaviour.handshakes > 1:
                asyncio.get_running_loop().call_later(1.0, drop_if_quiet, frames, writer)
        elif isinstance(event, CloseConnection):
            writer.write(frames.send(event.response()))
            writer.close()
        elif isinstance(event, Pong):
            behaviour.pongs += 1
        elif isinstance(event, Message):
            await behaviour.answer(event, frames, writer)

    port = int(os.environ.get("PORT", "0"))
    server = await asyncio.start_server(connected, "127.0.0.1", port, backlog=4096)
    if "ADMIN_PORT" in os.environ:
        admin_port = int(os.environ["ADMIN_PORT"])
        async with await asyncio.start_server(servers.answering(behaviour), "127.0.0.1", admin_port) as probe:
            await probe.serve_forever()
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    print(behaviour.handshakes, behaviour.messages, behaviour.pongs, flush=True)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
