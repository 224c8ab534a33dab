"""The runner: it lets a handshake receive what its state allows, and nothing else.

A handshake is a generator, a straight line of steps as in the RFC's figures. It yields only to receive: a
`Wait` bears the state's name and the message types that are legal there. The runner checks legality first,
then resumes it; an unexpected message is refused by the state's name. A raise ends the generator, so failure
is terminal by construction. What the generator may do to its connection is `HandshakeIO`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

from tlswrite.errors import TooMuchError, UnexpectedMessage
from tlswrite.handshake.negotiated import Negotiated
from tlswrite.iana import HandshakeType, name_of
from tlswrite.limits import MAX_EMPTY_RECORDS
from tlswrite.record.protection import Opener, Sealer
from tlswrite.session import Session

__all__ = ["AfterHandshake", "HandshakeGenerator", "HandshakeIO", "Message", "Runner", "Wait"]

#: A handshake message as it came: its type, and its bytes with the four-byte header (for the transcript).
Message = tuple[int, bytes]


class Wait:
    """A state that waits for one of several message types (RFC 9846 appendix A).

    A message of one of the types `ignored` is passed over, and is no part of the handshake.
    """

    __slots__ = ("ignored", "name", "types")

    def __init__(self, name: str, *types: HandshakeType, ignored: tuple[HandshakeType, ...] = ()) -> None:
        self.name = name
        self.types = types
        self.ignored = ignored

    def __repr__(self) -> str:
        return f"Wait({self.name}: {', '.join(kind.name for kind in self.types)})"


HandshakeGenerator = Generator[Wait, Message, None]


class HandshakeIO(Protocol):
    """What a handshake may do to its connection. Nothing here waits."""

    def send(self, message: bytes) -> None:
        """Queue handshake messages, headers included, under the current write protection.

        Messages given together share records (RFC 9846 §5.1).
        """

    def send_change_cipher_spec(self) -> None:
        """Queue the dummy record of middlebox compatibility mode (RFC 9846 appendix E.4)."""

    def set_write_protection(self, sealer: Sealer) -> None:
        """Protect everything sent from now on with `sealer`."""

    def set_read_protection(self, opener: Opener) -> None:
        """Open everything received from now on with `opener`.

        Raises UnexpectedMessage where bytes of a message follow under the old key (RFC 9846 §5.1).
        """

    def enter_tls12(self) -> None:
        """The version is TLS 1.2: its rules for alerts, change_cipher_spec and interleaved data hold."""

    def change_write_protection(self, sealer: Sealer) -> None:
        """Send change_cipher_spec, and protect everything behind it with `sealer` (RFC 5246 §7.1)."""

    def expect_change_cipher_spec(self, opener: Opener) -> None:
        """The peer's change_cipher_spec comes next; what follows it is opened with `opener`."""

    def renegotiate(self, generator: HandshakeGenerator) -> None:
        """Run another handshake on the open connection (RFC 5246 §7.4.1); writes wait until it is over."""

    def refuse_renegotiation(self) -> None:
        """Tell the peer that there will be none, by a warning (RFC 5246 §7.2.2)."""

    def allow_compatibility_ccs(self, allowed: bool) -> None:
        """Whether a received change_cipher_spec is dropped (RFC 9846 §5) or refused."""

    def allow_plaintext_alert(self, allowed: bool) -> None:
        """Whether an alert in the clear is taken until the first protected record."""

    def skip_early_data(self) -> None:
        """Discard the early data that may follow a ClientHello (RFC 9846 §4.3.10), up to a limit."""

    def complete(self, result: Negotiated, after: AfterHandshake) -> None:
        """The handshake is finished; application data may flow. `after` takes what comes later."""

    def request_write_key_update(self) -> None:
        """Answer the peer's update_requested before the next application record (RFC 9846 §4.7.3)."""

    @property
    def delivered(self) -> int:
        """Bytes of application data received so far: tells progress from a flood."""

    @property
    def progress(self) -> int:
        """Bytes of application data received and sealed so far."""


class AfterHandshake(Protocol):
    """What handles messages once the handshake is complete. It holds no reference to the connection."""

    def handle(self, message_type: int, raw: bytes, io: HandshakeIO) -> None:
        """One post-handshake message. Raises PeerError."""

    def rekey(self, request_peer: bool = False) -> tuple[bytes, Sealer]:
        """The message that announces the next write key, and the sealer under it."""

    def request_certificate(self, io: HandshakeIO) -> None:
        """Ask the client for a certificate (RFC 9846 §4.7.2). Raises CallerError where that cannot be."""

    def renegotiate(self, io: HandshakeIO) -> None:
        """Begin another handshake, or ask the client to. Raises CallerError where that cannot be."""

    def export(self, label: bytes, length: int, context: bytes | None) -> bytes:
        """Exported keying material (RFC 9846 §7.5, RFC 5705), `length` bytes."""

    def forget_session(self) -> None:
        """The connection failed: a session that the RFC says MUST NOT be resumed then is forgotten."""

    @property
    def session(self) -> Session | None:
        """Client: the session to resume later."""

    @property
    def finished(self) -> bytes | None:
        """The first Finished of the last handshake, for "tls-unique" (RFC 5929 §3); None in TLS 1.3."""


class Runner:
    """Drives one handshake generator."""

    __slots__ = ("_generator", "_ignored", "_wait")

    def __init__(self, generator: HandshakeGenerator) -> None:
        self._generator: HandshakeGenerator | None = generator
        self._wait: Wait | None = None
        self._ignored = 0

    def start(self) -> None:
        """Run to the first wait."""
        self._resume(None)

    @property
    def state(self) -> str:
        """The name of the state that waits, "" before the start and after the end."""
        return self._wait.name if self._wait is not None else ""

    @property
    def done(self) -> bool:
        return self._generator is None

    def check(self, message_type: int) -> None:
        """Raise UnexpectedMessage where the state does not allow a message of this type."""
        wait = self._wait
        if wait is None or (message_type not in wait.types and message_type not in wait.ignored):
            name = name_of(HandshakeType, message_type).lower()
            # RFC 9846 §4: a handshake message out of order: terminate with unexpected_message.
            raise UnexpectedMessage(f"{name} received in state {self.state or 'START'}")

    def receive(self, message_type: int, raw: bytes) -> None:
        """Hand over one message. Raises UnexpectedMessage where the state does not allow it."""
        self.check(message_type)
        if message_type in self._wait.ignored:  # type: ignore[union-attr]  # `check` sees to it
            self._ignored += 1
            if self._ignored > MAX_EMPTY_RECORDS:
                raise TooMuchError(f"a flood of {name_of(HandshakeType, message_type).lower()} messages")
            return
        self._resume((message_type, raw))

    def close(self) -> None:
        """Drop the generator and what it holds."""
        generator, self._generator, self._wait = self._generator, None, None
        if generator is not None:
            generator.close()

    def _resume(self, message: Message | None) -> None:
        generator = self._generator
        assert generator is not None
        try:
            self._wait = generator.send(message)  # type: ignore[arg-type]  # None only to start, as the protocol of generators asks
        except StopIteration:
            self._generator = None
            self._wait = None
        except BaseException:
            self._generator = None
            self._wait = None
            raise
