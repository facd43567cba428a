"""Clients that never stop, and count what goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Coroutine
from typing import Any

# How long anything of a client's may take (seconds).
SLOW = 10.0


class Load:
    """
    ``short`` clients connect to ``port``, ask, hear the answer and leave, one after the other; ``long`` ones stay and
    ask every ``pause`` seconds, as the others ``rest`` between two visits. The answers are those of an echo server
    (:attr:`target`) that belongs to the load. Everything happens in one thread of its own. Each failure is kept with
    the moment its session began. ``patience`` is how long (seconds) a client waits for anything.
    """

    def __init__(
        self,
        *,
        short: int,
        long: int,
        pause: float = 0.05,
        rest: float = 0.002,
        patience: float = SLOW,
        host: str = "127.0.0.1",
    ) -> None:
        self.connects = 0
        self.exchanges = 0
        self.failures: list[tuple[float, str]] = []
        self.settled = 0
        self.serving = 0
        self.target = 0
        self.port = 0
        self._host = host
        self._short, self._long, self._pause = short, long, pause
        self._rest, self._patience = rest, patience
        self._loop = asyncio.new_event_loop()
        self._ending = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._do(self._serve())

    def begin(self, port: int) -> None:
        """Begin to bother ``port``."""
        self.port = port
        self._do(self._begin())

    def end(self) -> None:
        """The clients finish what they are at, and leave."""
        if self._loop.is_closed():
            return
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def reasons(self) -> Counter[str]:
        return Counter(why for _, why in self.failures)

    # In the thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _serve(self) -> None:
        self._server = await asyncio.start_server(self._echo, self._host, 0, backlog=1024)
        self.target = self._server.sockets[0].getsockname()[1]

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving += 1
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()
        self.serving -= 1

    async def _begin(self) -> None:
        self._tasks = [asyncio.ensure_future(self._come_and_go()) for _ in range(self._short)]
        self._tasks += [asyncio.ensure_future(self._stay(number)) for number in range(self._long)]

    async def _end(self) -> None:
        self._ending.set()
        await asyncio.gather(*self._tasks)
        if self._server is not None:
            self._server.close()
        end = time.monotonic() + SLOW
        while self.serving and time.monotonic() < end:
            await asyncio.sleep(0.01)

    async def _come_and_go(self) -> None:
        for number in itertools.count():
            if self._ending.is_set():
                return
            begun = time.monotonic()
            try:
                reader, writer = await asyncio.wait_for(asyncio.open_connection(self._host, self.port), self._patience)
            except (OSError, asyncio.TimeoutError) as error:
                self._failed("connect", error, begun)
                await asyncio.sleep(0.01)
                continue
            try:
                await self._exchange(reader, writer, b"short %d\n" % number)
            except (OSError, EOFError, asyncio.TimeoutError) as error:
                self._failed("short session", error, begun)
            else:
                self.connects += 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._ending.wait(), self._rest)

    async def _stay(self, number: int) -> None:
        begun = time.monotonic()
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection(self._host, self.port), self._patience)
        except (OSError, asyncio.TimeoutError) as error:
            self._failed("connect", error, begun)
            return
        try:
            for turn in itertools.count():
                await self._exchange(reader, writer, b"long %d %d\n" % (number, turn))
                if turn == 0:
                    self.settled += 1
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._ending.wait(), self._pause)
                if self._ending.is_set():
                    break
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            self._failed("long session", error, begun)
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytes) -> None:
        writer.write(said)
        heard = await asyncio.wait_for(reader.readline(), self._patience)
        if not heard:
            raise EOFError("the connection ended")
        assert heard == said, (heard, said)
        self.exchanges += 1

    def _failed(self, what: str, error: BaseException, begun: float) -> None:
        self.failures.append((begun, f"{what}: {type(error).__name__} {error}"))
