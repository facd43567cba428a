"""
A target that does what it is told on its standard input: ``echo``, ``hang`` (accept, and say nothing), ``reset``
(accept, and reset), ``refuse`` (do not listen). Its first line of output is its port.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys


class Victim:
    def __init__(self, port: int) -> None:
        self._port = port
        self._mode = "echo"
        self._server: asyncio.Server | None = None

    async def run(self) -> None:
        await self._listen()
        print(self._port, flush=True)
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while line := await lines.readline():
            self._mode = line.decode().strip()
            if self._mode == "refuse" and self._server is not None:
                self._server.close()
                self._server = None
            elif self._mode != "refuse" and self._server is None:
                await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, backlog=1024)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            if self._mode == "reset":
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif self._mode == "hang":
                # Whoever came in vain stays, as he would with a server that is stuck.
                await reader.read()
            else:
                while data := await reader.read(65536):
                    writer.write(data)
                    await writer.drain()
        writer.close()


if __name__ == "__main__":
    asyncio.run(Victim(int(sys.argv[1])).run())
