"""A TCP proxy whose weather can be changed while it runs: what stands between the console and what it talks to.

One event loop in one thread, any number of doors on 127.0.0.1, each before one upstream.

    with Proxy() as proxy:
        door = proxy.open(("127.0.0.1", 6443))  # or the path of a unix socket
        door.be("silent")

- `pass`: hands on what comes.
- `slow`: hands on each chunk `delay` seconds late, in both directions.
- `silent`: accepts, takes everything, answers nothing. A connection that has lost bytes stays mute when the weather is
  better again, as one does whose state a firewall has forgotten.
- `reset`: answers new and open connections with RST.
- `refuse`: nobody listens; open connections are reset, as when a server is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from typing import Literal, Self

Mode = Literal["pass", "slow", "silent", "reset", "refuse"]
Upstream = tuple[str, int] | str
CHUNK = 64 * 1024


class Door:
    """One listener; `port` stays the same for as long as the proxy lives."""

    def __init__(self, proxy: Proxy, upstream: Upstream) -> None:
        self.upstream, self.mode, self.delay = upstream, "pass", 0.0
        self.port = self.accepted = 0
        self._proxy = proxy
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    def be(self, mode: Mode, delay: float = 0.5) -> None:
        """Change the weather; it has changed when this returns. `delay` in seconds, for `slow`."""
        self._proxy.run(self._become(mode, delay))

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        if self._server:
            self._server.close()
        self._server = None

    async def _become(self, mode: Mode, delay: float) -> None:
        self.mode, self.delay = mode, delay
        if mode in ("reset", "refuse"):
            for writer in list(self._open):
                _reset(writer)
        if mode == "refuse":
            self.close()
        elif not self._server:
            await self.listen()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.mode in ("reset", "refuse"):
            _reset(writer)
            return
        self._open.add(writer)
        try:
            await self._relay(reader, writer)
        except OSError:
            _reset(writer)
        finally:
            self._open.discard(writer)
            writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lost = asyncio.Event()
        upstream_reader, upstream_writer = await self._connect()
        try:
            answering = asyncio.ensure_future(self._pump(upstream_reader, writer, lost))
            try:
                await self._pump(reader, upstream_writer, lost)
                if not lost.is_set():
                    await answering
            finally:
                answering.cancel()
        finally:
            upstream_writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.upstream, str):
            return await asyncio.open_unix_connection(self.upstream)
        return await asyncio.open_connection(*self.upstream)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event) -> None:
        """Hand on until one side ends; what is lost is lost for the whole connection."""
        while chunk := await reader.read(CHUNK):
            if self.mode == "slow":
                await asyncio.sleep(self.delay)
            if self.mode == "silent":
                lost.set()
            if not lost.is_set():
                writer.write(chunk)
                await writer.drain()
        if not lost.is_set() and writer.can_write_eof():
            writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST, not FIN."""
    with contextlib.suppress(OSError):
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Proxy:
    """The thread with all doors. A context manager."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._doors: list[Door] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def open(self, upstream: Upstream) -> Door:
        """A new door before `upstream`."""
        door = Door(self, upstream)
        self.run(door.listen())
        self._doors.append(door)
        return door

    def run(self, coroutine: object) -> None:
        """Run it in the thread and wait for it."""
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)  # type: ignore[arg-type]

    async def _end(self) -> None:
        for door in self._doors:
            door.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
