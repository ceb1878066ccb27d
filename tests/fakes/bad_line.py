"""A bad line in front of a server on loopback: delay, a bounded rate, drops, and one stall. It sees bytes, not HTTP."""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

PIECE = 64 * 2**10
BUFFER = 256 * 2**10
"""Of each socket: what the line swallowed and never delivered is counted as sent, so it must not be large."""


@dataclass
class Line:
    """`delay`: seconds one way. `rate`: bytes a second to the client. `drop_seconds`: all connections are reset so
    often. `drop_bytes`: or each ends after so many bytes. `stall_at`: after so many bytes in all, one connection goes
    silent, and nothing is dropped until the client has closed it."""

    target: int
    delay: float = 0.0
    rate: float = float("inf")
    drop_seconds: float = 0.0
    drop_bytes: int = 0
    stall_at: int = 0
    delivered: int = 0
    drops: int = 0
    stalls: int = 0
    _ways: set[asyncio.StreamWriter] = field(default_factory=set)
    _free_at: float = 0.0
    _stalled: bool = False

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client."""
        far: asyncio.StreamWriter | None = None
        self._ways.add(writer)
        try:
            await asyncio.sleep(2 * self.delay)  # the handshake of TCP
            other, far = await asyncio.open_connection(sock=await _far(self.target))
            self._ways.add(far)
            there, back = self._carry(reader, far, counted=False), self._carry(other, writer, counted=True)
            tasks = [asyncio.ensure_future(there), asyncio.ensure_future(back)]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        except OSError:
            pass
        finally:
            for way in (writer, far):
                if way is not None:
                    self._ways.discard(way)
                    way.transport.abort()

    async def _carry(self, source: asyncio.StreamReader, to: asyncio.StreamWriter, *, counted: bool) -> None:
        """Both ways are delayed; the one to the client is counted, slow, and cut."""
        to.transport.set_write_buffer_limits(0)  # what is drained is with the kernel
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=256)
        arrive = asyncio.create_task(self._deliver(under_way, to, counted))
        try:
            while piece := await source.read(PIECE):
                if counted:
                    await self._slow(len(piece))
                await under_way.put((time.monotonic() + self.delay, piece))
                if arrive.done():
                    break
            await under_way.put((0.0, b""))
            await arrive
        finally:
            arrive.cancel()

    async def _deliver(
        self, under_way: "asyncio.Queue[tuple[float, bytes]]", to: asyncio.StreamWriter, counted: bool
    ) -> None:
        carried = 0
        while True:
            due, piece = await under_way.get()
            if not piece:
                return
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            to.write(piece)
            await to.drain()
            if not counted:
                continue
            carried += len(piece)
            self.delivered += len(piece)
            if self.stall_at and self.delivered >= self.stall_at and not self.stalls:
                await self._go_silent()
            if self.drop_bytes and carried >= self.drop_bytes:
                self.drops += 1
                to.transport.abort()  # an end like any other: all that was delivered arrives
                return

    async def _go_silent(self) -> None:
        """Until the client has had enough of it."""
        self.stalls, self._stalled = 1, True
        try:
            await asyncio.Event().wait()
        finally:
            self._stalled = False

    async def _slow(self, size: int) -> None:
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + size / self.rate
        await asyncio.sleep(self._free_at - now)

    async def drop(self) -> None:
        """Every `drop_seconds`."""
        while True:
            await asyncio.sleep(self.drop_seconds)
            if not self._stalled and self._ways:
                self.drops += 1
                for way in self._ways:
                    _reset(way)


def _reset(way: asyncio.StreamWriter) -> None:
    """Not an end that looks like one: RST, as from a router that forgot the connection."""
    way.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    way.transport.abort()


async def _far(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    made.setblocking(False)
    await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
    return made


@contextmanager
def stretched(line: Line) -> Iterator[int]:
    """The port of the line's near end, while it stands."""
    near = socket.socket()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    near.bind(("127.0.0.1", 0))
    port, loop, ready = near.getsockname()[1], asyncio.new_event_loop(), threading.Event()

    async def stand() -> None:
        server = await asyncio.start_server(line.connect, sock=near)
        dropping = [asyncio.create_task(line.drop())] if line.drop_seconds else []
        ready.set()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(server.serve_forever(), *dropping)

    def live() -> None:
        asyncio.set_event_loop(loop)
        task = loop.create_task(stand())
        stop.append(lambda: loop.call_soon_threadsafe(task.cancel))
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        for left in asyncio.all_tasks(loop):
            left.cancel()
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()

    stop: list[Any] = []
    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield port
    finally:
        stop[0]()
        thread.join(30)
