"""Handshakes without records: two generators, their messages, and a hand in between.

`Recorder` is a HandshakeIO that keeps what a handshake does. `Handshake` runs a client's generator against
a server's; `edit` sees each message on its way and returns what arrives instead: the same bytes, others,
several messages, or none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.support.engine import HOST, client_config, server_config
from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.errors import TLSError
from tlswrite.handshake.entropy import SYSTEM, Entropy
from tlswrite.handshake.negotiated import Negotiated
from tlswrite.handshake.runner import AfterHandshake, HandshakeGenerator, Runner
from tlswrite.iana import ContentType, HandshakeType
from tlswrite.messages.framing import MESSAGES, MESSAGES12, HandshakeMessage
from tlswrite.negotiate import client_handshake, server_handshake
from tlswrite.record.codes import CONTROL
from tlswrite.record.protection import Opener, Sealer
from tlswrite.record.receive import OUT_ROOM, ReceivePath

CCS = "change_cipher_spec"

CH = HandshakeType.CLIENT_HELLO
SH = HandshakeType.SERVER_HELLO
EE = HandshakeType.ENCRYPTED_EXTENSIONS
CR = HandshakeType.CERTIFICATE_REQUEST
CT = HandshakeType.CERTIFICATE
CV = HandshakeType.CERTIFICATE_VERIFY
FIN = HandshakeType.FINISHED

#: Sender ("client" or "server") and message; returns what arrives.
Edit = Callable[[str, bytes], bytes | Sequence[bytes]]


class Recorder:
    """A HandshakeIO that does nothing but remember."""

    def __init__(self) -> None:
        #: Messages by the name of their type, changes of keys and the compatibility record, in order.
        self.log: list[str] = []
        self.outbox: list[bytes] = []
        self.sealers: list[Sealer] = []
        self.openers: list[Opener] = []
        self.ccs_allowed: list[bool] = []
        self.plaintext_alert_allowed: list[bool] = []
        self.result: Negotiated | None = None
        self.after: AfterHandshake | None = None
        self.key_updates_requested = 0
        self.delivered = 0
        self.tls12 = False
        self.again: Runner | None = None

    def send(self, message: bytes) -> None:
        while message:
            end = 4 + int.from_bytes(message[1:4], "big")
            self.log.append(HandshakeType(message[0]).name.lower())
            self.outbox.append(message[:end])
            message = message[end:]

    def send_change_cipher_spec(self) -> None:
        self.log.append(CCS)

    def set_write_protection(self, sealer: Sealer) -> None:
        self.log.append("write key")
        self.sealers.append(sealer)

    def set_read_protection(self, opener: Opener) -> None:
        self.log.append("read key")
        self.openers.append(opener)

    def enter_tls12(self) -> None:
        self.tls12 = True

    def change_write_protection(self, sealer: Sealer) -> None:
        self.log.append(CCS)
        self.set_write_protection(sealer)

    def expect_change_cipher_spec(self, opener: Opener) -> None:
        # Whoever moves the messages sees to the order; what comes next is under the new key.
        self.set_read_protection(opener)

    def renegotiate(self, generator: HandshakeGenerator) -> None:
        self.log.append("renegotiate")
        self.again = Runner(generator)
        self.again.start()

    def refuse_renegotiation(self) -> None:
        self.log.append("no renegotiation")

    @property
    def progress(self) -> int:
        return self.delivered

    def allow_compatibility_ccs(self, allowed: bool) -> None:
        self.ccs_allowed.append(allowed)

    def allow_plaintext_alert(self, allowed: bool) -> None:
        self.plaintext_alert_allowed.append(allowed)

    def skip_early_data(self) -> None:
        self.log.append("skip early data")

    def complete(self, result: Negotiated, after: AfterHandshake) -> None:
        self.log.append("complete")
        self.result = result
        self.after = after

    def request_write_key_update(self) -> None:
        self.key_updates_requested += 1

    def take(self) -> list[bytes]:
        taken, self.outbox = self.outbox, []
        return taken


class Side:
    """One generator with its io, the names of its waits, and its error."""

    def __init__(self, io: Recorder, generator: HandshakeGenerator) -> None:
        self.io = io
        self.waits: list[str] = []
        self.error: TLSError | None = None
        self.runner = Runner(self._watch(generator))

    def _watch(self, generator: HandshakeGenerator) -> HandshakeGenerator:
        message: Any = None
        try:
            while True:
                try:
                    wait = generator.send(message)
                except StopIteration:
                    return
                self.waits.append(wait.name)
                message = yield wait
        finally:
            generator.close()

    def start(self) -> None:
        self._guard(self.runner.start)

    def receive(self, raw: bytes) -> None:
        after = self.io.after
        if self.error is not None:
            return
        if after is not None and self.runner.done:
            self._guard(lambda: after.handle(raw[0], raw, self.io))
        else:
            self._guard(lambda: self.runner.receive(raw[0], raw))

    def _guard(self, step: Callable[[], None]) -> None:
        try:
            step()
        except TLSError as error:
            self.error = error


class Handshake:
    """A client and a server, run to the end or to an error."""

    def __init__(
        self,
        client: ClientConfig | None = None,
        server: ServerConfig | None = None,
        edit: Edit | None = None,
        *,
        hostname: str | None = HOST,
        client_entropy: Entropy = SYSTEM,
        server_entropy: Entropy = SYSTEM,
    ) -> None:
        client_io, server_io = Recorder(), Recorder()
        self.client = Side(
            client_io, client_handshake(client_io, client or client_config(), hostname, client_entropy)
        )
        self.server = Side(server_io, server_handshake(server_io, server or server_config(), server_entropy))
        #: Every message as it was sent, after editing.
        self.wire: list[tuple[str, bytes]] = []
        self._edit = edit
        self.client.start()
        self.server.start()
        while True:
            moved = self._move("client", self.client, self.server) + self._move(
                "server", self.server, self.client
            )
            if not moved:
                break

    def _move(self, name: str, source: Side, target: Side) -> int:
        messages = source.io.take()
        for message in messages:
            edited = message if self._edit is None else self._edit(name, message)
            for each in [edited] if isinstance(edited, bytes) else edited:
                self.wire.append((name, each))
                target.receive(each)
        return len(messages)

    @property
    def messages(self) -> dict[HandshakeType, type[HandshakeMessage]]:
        """The messages of the version that both sides went over to."""
        return MESSAGES12 if self.server.io.tls12 else MESSAGES

    @property
    def complete(self) -> bool:
        return self.client.io.result is not None and self.server.io.result is not None

    def sent(self, name: str, kind: HandshakeType) -> list[Any]:
        """The parsed messages of one type that one side sent."""
        return [
            self.messages[kind].parse(raw[4:]) for who, raw in self.wire if who == name and raw[0] == kind
        ]


def open_record(opener: Opener, record: bytes) -> tuple[int, bytes]:
    """Content type and content of one protected record."""
    path = ReceivePath()
    path.set_protection(opener)
    path.application_data_allowed = True
    path.append(record)
    out = memoryview(bytearray(OUT_ROOM))
    count = path.open_into(out)
    if count == CONTROL:
        return path.content_type, bytes(path.fragment)
    assert count >= 0
    return ContentType.APPLICATION_DATA, bytes(out[:count])


def editing(
    kind: HandshakeType,
    change: Callable[[Any], Any],
    *,
    nth: int = 0,
    messages: Mapping[HandshakeType, type[HandshakeMessage]] = MESSAGES,
) -> Edit:
    """An edit that parses the nth message of a type and puts what `change` makes of it in its place."""
    seen = -1

    def edit(_: str, raw: bytes) -> bytes:
        nonlocal seen
        if raw[0] != kind:
            return raw
        seen += 1
        if seen != nth:
            return raw
        changed = change(messages[kind].parse(raw[4:]))
        return changed if isinstance(changed, bytes) else bytes(changed.encode())

    return edit


def changing(kind: HandshakeType, *, nth: int = 0, **fields: Any) -> Edit:
    """An edit that replaces fields of the nth message of a type."""
    return editing(kind, lambda message: replace(message, **fields), nth=nth)


def with_extension(message: Any, extension: int, data: bytes | None) -> Any:
    """`message` with that extension set, added at the end, or left out (None)."""
    kept = [(code, old) for code, old in message.extensions if code != extension]
    if data is not None:
        index = next((i for i, (code, _) in enumerate(message.extensions) if code == extension), len(kept))
        kept.insert(index, (extension, data))
    return replace(message, extensions=tuple(kept))


def extending(kind: HandshakeType, extension: int, data: bytes | None, *, nth: int = 0) -> Edit:
    """An edit that sets, adds or leaves out an extension of the nth message of a type."""
    return editing(kind, lambda message: with_extension(message, extension, data), nth=nth)


def from_client(edit: Edit) -> Edit:
    """The edit for messages of the client alone."""
    return lambda name, raw: edit(name, raw) if name == "client" else raw


def client_refuses(
    edit: Edit | None,
    expected: type[TLSError],
    match: str = "",
    *,
    client: ClientConfig | None = None,
    server: ServerConfig | None = None,
) -> TLSError:
    """Asserts that the client ends in exactly that error where `edit` changes what passes; returns it."""
    run = Handshake(client, server, edit)
    return _refuses(run.client, run.server, expected, match)


def server_refuses(
    edit: Edit | None,
    expected: type[TLSError],
    match: str = "",
    *,
    client: ClientConfig | None = None,
    server: ServerConfig | None = None,
) -> TLSError:
    """The same of the server."""
    run = Handshake(client, server, edit)
    return _refuses(run.server, run.client, expected, match)


def _refuses(side: Side, other: Side, expected: type[TLSError], match: str) -> TLSError:
    error = side.error
    assert error is not None and type(error) is expected, f"{error!r}; the other side: {other.error!r}"
    assert match in error.message
    assert side.io.result is None
    return error
