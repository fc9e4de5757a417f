"""A TCP proxy that cuts its connections at a word, so that a test can lose exactly one message."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class CuttingProxy:
    """Forwards to an address until the client sends the word; then the connection is cut, once."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._cut_at: bytes | None = None
        self._forward_first = False
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def cut_at(self, word: bytes, *, after_the_server_did_it: bool) -> None:
        """Cut the next connection whose client sends the word: before the server hears it, or after it answered."""
        self._forward_first = after_the_server_did_it
        self._cut_at = word

    def close(self) -> None:
        """Accept no more."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                threading.Thread(target=self._forward, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError), client, server:
            while data := client.recv(65536):
                if self._cut_at is not None and self._cut_at in data:
                    forward, self._cut_at = self._forward_first, None
                    self.cuts += 1
                    # The client hears nothing any more; the server may hear this, and then that its client is gone.
                    client.shutdown(socket.SHUT_RDWR)
                    if forward:
                        server.sendall(data)
                        server.shutdown(socket.SHUT_WR)
                        while server.recv(65536):
                            pass
                    else:
                        server.shutdown(socket.SHUT_RDWR)
                    return
                server.sendall(data)

    @staticmethod
    def _answer(server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


@contextmanager
def cutting_proxy(host: str, port: int) -> Iterator[CuttingProxy]:
    """A proxy to an address."""
    proxy = CuttingProxy((host, port))
    try:
        yield proxy
    finally:
        proxy.close()
