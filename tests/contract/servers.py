"""Servers of known behaviour for the load tests, in a process of their own: `python servers.py NAME`, prints its port.

Each speaks just enough HTTP/1.1. It counts requests and prints the count when its standard input is closed. With PORT and
ADMIN_PORT in its environment it serves there, and answers on the admin port as a target's probe does.
"""

import asyncio
import json
import os
import signal
import sys
import time

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Behaviour:
    """How one server answers request number `n` on a connection, given the time since it started."""

    def __init__(self, name):
        self.name, self.count, self.begun = name, 0, time.monotonic()
        self.connections = 0
        self.free = 0.0  # when the last request that was taken is done

    async def answer(self, n, head, writer):
        self.count += 1
        return await getattr(self, self.name)(n, head, writer)

    async def quick(self, n, head, writer):
        writer.write(OK)

    async def two_ms(self, n, head, writer):
        end = time.perf_counter() + 0.002
        await asyncio.sleep(0.0008)
        while time.perf_counter() < end:
            await asyncio.sleep(0)
        writer.write(OK)

    async def stall(self, n, head, writer):
        """Stop for one second, once, two seconds after the first request."""
        if self.count == 1:
            self.begun = time.monotonic()
        if self.begun is not None and time.monotonic() - self.begun > 2:
            self.begun = None
            time.sleep(1)
        writer.write(OK)

    async def drops_every_tenth(self, n, head, writer):
        if self.count % 10 == 0:
            writer.close()
            return "closed"
        writer.write(OK)
        return None

    async def errors(self, n, head, writer):
        writer.write(b"HTTP/1.1 500 Oops\r\ncontent-length: 6\r\n\r\nbroken")

    async def redirects_later(self, n, head, writer):
        there = b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"
        writer.write(OK if self.count <= 1 else there)

    async def errors_later(self, n, head, writer):
        if self.count <= 1:
            writer.write(OK)
        else:
            await self.errors(n, head, writer)

    async def slow(self, n, head, writer):
        """Answers 50 a second, one after the other."""
        time.sleep(0.02)
        writer.write(OK)

    async def one_at_a_time(self, n, head, writer):
        """Take 4 ms for each request, one after another: a service that carries 250 a second."""
        self.free = max(self.free, time.perf_counter()) + 0.004
        await asyncio.sleep(self.free - time.perf_counter())
        await self.quick(n, head, writer)

    async def goes_silent(self, n, head, writer):
        if self.count > 200:
            await asyncio.sleep(3600)
        writer.write(OK)

    async def closes_after_each(self, n, head, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()
        return "closed"

    async def until_eof(self, n, head, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nan answer without a length")
        await writer.drain()
        writer.close()
        return "closed"

    async def chunked(self, n, head, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await writer.drain()
        writer.write(b"4\r\ndefg\r\n0\r\n\r\n")

    async def head(self, n, head, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")

    async def empty(self, n, head, writer):
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async def tells_path(self, n, head, writer):
        writer.write(OK if head.startswith(b"GET /light ") else b"HTTP/1.1 201 Made\r\ncontent-length: 0\r\n\r\n")

    async def interim(self, n, head, writer):
        writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n" + OK)

    async def twice(self, n, head, writer):
        """Answers every request, and then once more, wrongly and unasked."""
        wrong = b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n"
        writer.write(OK + wrong)

    async def big(self, n, head, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 1_000_000)

    async def garbage_later(self, n, head, writer):
        writer.write(OK if self.count == 1 else b"SMTP ready\r\n")

    async def upgrade_later(self, n, head, writer):
        change = b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
        writer.write(OK if self.count == 1 else change)

    async def answers_late(self, n, head, writer):
        """Takes as long as the time-out of its test, give or take some milliseconds."""
        if self.count > 1:
            await asyncio.sleep(0.19 + 0.02 * (self.count % 2))
        writer.write(OK)

    async def speaks_tls(self, n, head, writer):
        """What a TLS server says to plain HTTP: a fatal alert, unexpected message."""
        writer.write(bytes([0x15, 3, 1, 0, 2, 2, 10]))
        await writer.drain()
        writer.close()
        return "closed"

    async def hangs_up(self, n, head, writer):
        """From the hundredth request on, closes every connection without an answer."""
        if self.count < 100:
            writer.write(OK)
            return None
        writer.close()
        return "closed"

    async def counts_twice(self, n, head, writer):
        """Counts every tenth request twice, as if a client had sent it twice without a word."""
        self.count += self.count % 10 == 0
        writer.write(OK)

    async def wrong_later(self, n, head, writer):
        """From the third request on, a body with another content."""
        writer.write(OK if self.count < 3 else OK.replace(b"ok", b"no"))

    async def creeps(self, n, head, writer):
        """Takes longer and longer: 2 ms more with each second."""
        if self.count == 1:
            self.begun = time.monotonic()
        await asyncio.sleep(0.001 + 0.002 * (time.monotonic() - self.begun))
        writer.write(OK)

    async def dies_later(self, n, head, writer):
        if self.count > 300:
            os.kill(os.getpid(), signal.SIGKILL)
        writer.write(OK)

    async def five_percent_slow(self, n, head, writer):
        if self.count % 20 == 0:
            await asyncio.sleep(0.5)
        writer.write(OK)


def answering(behaviour):
    """Return what answers as the probe of a target does."""
    options = {name[4:].lower(): value for name, value in os.environ.items() if name.startswith("OPT_")}

    async def asked(reader, writer):
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        nonce = os.environ.get("HARNESS_NONCE", "")
        runtime = {"flavor": "multi_thread", "workers": 1, "tokio": "1.54.1", "options": options, "nonce": nonce}
        metrics = f"http_requests_total {behaviour.count}\nhttp_connections_total {behaviour.connections}\n"
        body = {"/runtime": json.dumps(runtime), "/metrics": metrics}.get(path, "")
        writer.write(f"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    return asked


async def serve(name):
    behaviour = Behaviour(name)

    async def connected(reader, writer):
        n = 0
        behaviour.connections += 1
        if name == "hangs_up" and behaviour.count >= 100:
            writer.close()
            return
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                for line in head.split(b"\r\n"):
                    if line.lower().startswith(b"content-length:"):
                        await reader.readexactly(int(line.split(b":")[1]))
                n += 1
                if await behaviour.answer(n, head, writer) == "closed":
                    return
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", int(os.environ.get("PORT", "0")), backlog=4096)
    if "ADMIN_PORT" in os.environ:
        probe = await asyncio.start_server(answering(behaviour), "127.0.0.1", int(os.environ["ADMIN_PORT"]))
        async with probe:
            await probe.serve_forever()
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    print(behaviour.count, flush=True)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
