"""WebSocket servers of known behaviour, in a process of their own: `python websocket_servers.py NAME`, prints its port.

Counts handshakes and messages and prints "handshakes messages" when its standard input is closed.
"""

import asyncio
import sys
import time

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Message, Ping, RejectConnection, Request, TextMessage


class Behaviour:
    """How one server answers message number `count`; `clients` are those connected."""

    def __init__(self, name):
        self.name, self.messages, self.handshakes, self.begun = name, 0, 0, time.monotonic()
        self.clients = {}

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

    async def mute(self, event, frames, writer):
        """Takes every handshake and never says a word."""

    async def rejects(self, event, frames, writer):
        """Never called: takes no handshake."""


async def serve(name):
    behaviour = Behaviour(name)

    async def connected(reader, writer):
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

    async def heard(event, frames, writer):
        if isinstance(event, Request):
            behaviour.handshakes += 1
            if name == "rejects":
                writer.write(frames.send(RejectConnection(status_code=403)))
                return
            writer.write(frames.send(AcceptConnection()))
            behaviour.clients[frames] = writer
        elif isinstance(event, CloseConnection):
            writer.write(frames.send(event.response()))
            writer.close()
        elif isinstance(event, Message):
            await behaviour.answer(event, frames, writer)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    print(behaviour.handshakes, behaviour.messages, flush=True)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
