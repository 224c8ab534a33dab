"""What remains of a handshake that is made up: it remembers what it is given, and tells what it was asked."""

from __future__ import annotations

from tests.support.records import sealer
from tlswrite.handshake.runner import HandshakeIO
from tlswrite.record.protection import Sealer
from tlswrite.session import Session


class After:
    """An AfterHandshake."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, bytes]] = []
        #: Whether it was told that the connection failed.
        self.forgotten = False
        self.session: Session | None = None
        self.finished: bytes | None = b"finished"

    def handle(self, message_type: int, raw: bytes, io: HandshakeIO) -> None:
        self.seen.append((message_type, raw))

    def rekey(self, request_peer: bool = False) -> tuple[bytes, Sealer]:
        return b"\x18\0\0\1\0", sealer(seed=1)

    def request_certificate(self, io: HandshakeIO) -> None:
        io.send(b"\x0d\0\0\0")

    def renegotiate(self, io: HandshakeIO) -> None:
        io.send(b"\0\0\0\0")

    def export(self, label: bytes, length: int, context: bytes | None) -> bytes:
        return repr((label, length, context)).encode()

    def forget_session(self) -> None:
        self.forgotten = True
