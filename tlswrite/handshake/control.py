"""The control side of a connection: everything that is not application data.

Control records come here from the receive path; handshake fragments are joined to messages and handed to the
runner, and after the handshake to its successor; alerts are judged. `Control` is also the `HandshakeIO` that
handshakes act through. It knows the two paths and nothing of the connection above it, so that no cycle of
references survives a handshake.
"""

from __future__ import annotations

from typing import Final

from tlswrite.errors import AlertReceived, TooMuchError, UnexpectedMessage, ZeroReturnError
from tlswrite.handshake.negotiated import Negotiated
from tlswrite.handshake.runner import AfterHandshake, HandshakeGenerator, Runner
from tlswrite.iana import AlertDescription, AlertLevel, ContentType, HandshakeType
from tlswrite.limits import MAX_EMPTY_RECORDS, MAX_SKIPPED_EARLY_DATA, SEND_WINDOW
from tlswrite.messages.framing import Joiner
from tlswrite.record.protection import NullSealer, Opener, Sealer
from tlswrite.record.receive import ReceivePath
from tlswrite.record.send import SendPath

__all__ = ["Control"]

_CHANGE_CIPHER_SPEC: Final = b"\x14\x03\x03\x00\x01\x01"
_CLOSURE: Final = (AlertDescription.CLOSE_NOTIFY, AlertDescription.USER_CANCELED)


class Control:
    """Handshake messages and alerts of one connection; implements HandshakeIO."""

    __slots__ = (
        "_canceled",
        "_joiner",
        "_runner",
        "after",
        "negotiated",
        "peer_closed",
        "receive_path",
        "send_path",
    )

    def __init__(self, send_path: SendPath, receive_path: ReceivePath) -> None:
        self.send_path = send_path
        self.receive_path = receive_path
        #: Set when the peer's close_notify came.
        self.peer_closed = False
        #: Set when the handshake is complete.
        self.negotiated: Negotiated | None = None
        self.after: AfterHandshake | None = None
        self._joiner: Joiner | None = None
        self._runner: Runner | None = None
        self._canceled = 0

    def start(self, generator: HandshakeGenerator) -> None:
        """Begin a handshake; a client's first flight is queued by this."""
        self._runner = Runner(generator)
        self._runner.start()

    @property
    def started(self) -> bool:
        return self._runner is not None or self.negotiated is not None

    @property
    def state(self) -> str:
        """The state that waits, under its name in RFC 9846 appendix A."""
        if self.negotiated is not None:
            return "CONNECTED"
        return (self._runner.state if self._runner is not None else "") or "START"

    def handle(self, content_type: int, fragment: bytes) -> None:
        """One control record. Raises TLSError, which ends the connection."""
        if content_type == ContentType.ALERT:
            self._handle_alert(fragment)
            return
        joiner = self._joiner
        if joiner is None:
            joiner = self._joiner = Joiner()
        joiner.feed(fragment)
        while (message := joiner.next()) is not None:
            if message[0] == HandshakeType.CLIENT_HELLO and not joiner.empty:
                # RFC 9846 §5.1: a message that precedes a key change ends at a record boundary. Of this one
                # it is checked before it is answered: the alert is then one that the client can read.
                raise UnexpectedMessage("handshake data behind a ClientHello in one record")
            self._handle_message(*message)
        if self._runner is not None and (begun := joiner.incomplete) is not None:
            # A message that is not legal here is refused by its type, not waited for and held.
            self._runner.check(begun)
        # RFC 9846 §5.1: fragments of one message are not interleaved with other records.
        self.receive_path.application_data_allowed = self.negotiated is not None and joiner.empty
        if self.negotiated is not None and joiner.empty:
            self._joiner = None

    def send_alert(self, description: int) -> None:
        """Queue an alert (RFC 9846 §6): warning for closure alerts, fatal for the rest."""
        level = AlertLevel.WARNING if description in _CLOSURE else AlertLevel.FATAL
        self.send_path.seal_control(ContentType.ALERT, bytes((level, description)))

    def close(self) -> None:
        """Drop input, secrets and state; what is sealed already may still be sent."""
        # RFC 9846 §6: MUST forget the secret values and keys established in failed connections.
        runner, self._runner = self._runner, None
        self._joiner = None
        self.after = None
        self.send_path.set_protection(NullSealer())
        self.receive_path.forget()
        if runner is not None:
            runner.close()

    # ---- HandshakeIO ------------------------------------------------------------------------------

    def send(self, message: bytes) -> None:
        if self.send_path.closed:
            # RFC 9846 §6.1: nothing is sent behind close_notify. A request that comes later stays unanswered.
            return
        if self.negotiated is not None and self.send_path.output_size > 2 * SEND_WINDOW:
            # A peer that asks and asks, and does not read the answers, must not make them pile up.
            raise TooMuchError("the peer asks for more than it reads")
        self.send_path.seal_control(ContentType.HANDSHAKE, message)

    def send_change_cipher_spec(self) -> None:
        self.send_path.queue_record(_CHANGE_CIPHER_SPEC)

    def set_write_protection(self, sealer: Sealer) -> None:
        self.send_path.set_protection(sealer)

    def set_read_protection(self, opener: Opener) -> None:
        # RFC 9846 §5.1: a message that precedes a key change ends at a record boundary.
        if self._joiner is not None and not self._joiner.empty:
            raise UnexpectedMessage("handshake data behind a key change in one record")
        self.receive_path.set_protection(opener)

    def allow_compatibility_ccs(self, allowed: bool) -> None:
        self.receive_path.compatibility_ccs_allowed = allowed

    def allow_plaintext_alert(self, allowed: bool) -> None:
        self.receive_path.plaintext_alert_allowed = allowed

    def skip_early_data(self) -> None:
        self.receive_path.early_data_room = MAX_SKIPPED_EARLY_DATA

    def complete(self, result: Negotiated, after: AfterHandshake) -> None:
        self.negotiated = result
        self.after = after
        self.send_path.rekey = after.rekey
        self.receive_path.compatibility_ccs_allowed = False
        self.receive_path.plaintext_alert_allowed = False

    def request_write_key_update(self) -> None:
        self.send_path.request_rekey()

    @property
    def delivered(self) -> int:
        return self.receive_path.delivered

    # ---- helpers ----------------------------------------------------------------------------------

    def _handle_message(self, message_type: int, raw: bytes) -> None:
        if self.after is not None:
            if self.send_path.exhausted:
                # RFC 9846 §5.5: answers count too, and a peer can ask for them without end.
                self.send_path.request_rekey()
            self.after.handle(message_type, raw, self)
            return
        runner = self._runner
        assert runner is not None
        runner.receive(message_type, raw)
        if runner.done:
            self._runner = None

    def _handle_alert(self, fragment: bytes) -> None:
        if self._joiner is not None and not self._joiner.empty:
            raise UnexpectedMessage("an alert between the fragments of a handshake message")
        # RFC 9846 §6: the level is ignored; every alert but the two closure alerts is an error.
        description = fragment[1]
        if description == AlertDescription.CLOSE_NOTIFY:
            if self.negotiated is None:
                raise ZeroReturnError("the peer closed the connection during the handshake (close_notify)")
            self.peer_closed = True
            return
        if description == AlertDescription.USER_CANCELED:
            # RFC 9846 §6.1: go on reading until close_notify.
            self._canceled += 1
            if self._canceled > MAX_EMPTY_RECORDS:
                raise TooMuchError("a flood of user_canceled alerts")
            return
        raise AlertReceived(description)
