"""The control side of a connection: everything that is not application data.

Control records come here from the receive path; handshake fragments are joined to messages and handed to the
runner, and after the handshake to its successor; alerts are judged. `Control` is also the `HandshakeIO` that
handshakes act through. It knows the two paths and nothing of the connection above it, so that no cycle of
references survives a handshake.
"""

from __future__ import annotations

from typing import Final

from tlswrite.compiled import mypyc_attr
from tlswrite.errors import AlertReceived, TooMuchError, UnexpectedMessage, ZeroReturnError
from tlswrite.handshake.negotiated import Negotiated
from tlswrite.handshake.runner import AfterHandshake, HandshakeGenerator, Runner
from tlswrite.iana import AlertDescription, AlertLevel, ContentType, HandshakeType, name_of
from tlswrite.limits import MAX_EMPTY_RECORDS, MAX_SKIPPED_EARLY_DATA, SEND_WINDOW
from tlswrite.messages.framing import Joiner
from tlswrite.record.protection import NullSealer, Opener, Sealer
from tlswrite.record.receive import ReceivePath
from tlswrite.record.send import SendPath

__all__ = ["Control"]

_CHANGE_CIPHER_SPEC: Final = b"\x14\x03\x03\x00\x01\x01"
# By names of their own: until Python 3.12 each look-up of a member in its class takes a call, 0.1 us.
_ALERT: Final = ContentType.ALERT
_CCS: Final = ContentType.CHANGE_CIPHER_SPEC
_HANDSHAKE: Final = ContentType.HANDSHAKE
_CLIENT_HELLO: Final = HandshakeType.CLIENT_HELLO
#: Alerts sent as warnings: closure alerts (RFC 9846 §6.1), and no_renegotiation (RFC 5246 §7.2.2).
_WARNINGS: Final = (
    AlertDescription.CLOSE_NOTIFY,
    AlertDescription.USER_CANCELED,
    AlertDescription.NO_RENEGOTIATION,
)


@mypyc_attr(allow_interpreted_subclasses=True)
class Control:
    """Handshake messages and alerts of one connection; implements HandshakeIO."""

    __slots__ = (
        "_canceled",
        "_joiner",
        "_next_opener",
        "_runner",
        "_warned_at",
        "_warnings",
        "after",
        "handled",
        "negotiated",
        "peer_closed",
        "receive_path",
        "send_path",
        "tls12",
        "tls12_offered",
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
        #: What opens records behind the change_cipher_spec that must come next (TLS 1.2).
        self._next_opener: Opener | None = None
        self._canceled = 0
        self._warnings = 0
        self._warned_at = 0
        #: Control records so far.
        self.handled = 0
        #: The version is TLS 1.2; this side is a client that offers it.
        self.tls12 = False
        self.tls12_offered = False

    def start(self, generator: HandshakeGenerator) -> None:
        """Begin a handshake; a client's first flight is queued by this."""
        self._runner = Runner(generator)
        self._runner.start()

    @property
    def started(self) -> bool:
        return self._runner is not None or self.negotiated is not None

    @property
    def renegotiating(self) -> bool:
        """Whether another handshake is under way on the open connection (TLS 1.2)."""
        return self._runner is not None and self.negotiated is not None

    @property
    def state(self) -> str:
        """The state that waits, under its name in RFC 9846 appendix A."""
        if self._runner is not None:
            return self._runner.state or "START"
        return "START" if self.negotiated is None else "CONNECTED"

    def handle(self, content_type: int, fragment: bytes) -> None:
        """One control record. Raises TLSError, which ends the connection."""
        self.handled += 1
        if content_type == _ALERT:
            self._handle_alert(fragment)
            return
        if content_type == _CCS:
            self._handle_change_cipher_spec()
            return
        joiner = self._joiner
        if joiner is None:
            joiner = self._joiner = Joiner()
        joiner.feed(fragment)
        while (message := joiner.next()) is not None:
            if message[0] == _CLIENT_HELLO and not joiner.empty and self.negotiated is None:
                # RFC 9846 §5.1: a message that precedes a key change ends at a record boundary. Of this one
                # it is checked before it is answered: the alert is then one that the client can read.
                raise UnexpectedMessage("handshake data behind a ClientHello in one record")
            self._handle_message(*message)
        if self._runner is not None and (begun := joiner.incomplete) is not None:
            # A message that is not legal here is refused by its type, not waited for and held.
            self._runner.check(begun)
        if not self.tls12:
            # RFC 9846 §5.1: fragments of one message are not interleaved with other records. RFC 5246 §6.2.1
            # has no such rule.
            self.receive_path.application_data_allowed = self.negotiated is not None and joiner.empty
        if self.negotiated is not None and joiner.empty:
            self._joiner = None

    def send_alert(self, description: int) -> None:
        """Queue an alert (RFC 9846 §6): warning for closure alerts, fatal for the rest."""
        level = AlertLevel.WARNING if description in _WARNINGS else AlertLevel.FATAL
        self.send_path.seal_control(ContentType.ALERT, bytes((level, description)))

    def close(self) -> None:
        """Drop input, secrets and state; what is sealed already may still be sent."""
        # RFC 9846 §6: MUST forget the secret values and keys established in failed connections.
        runner, self._runner = self._runner, None
        self._joiner = None
        self._next_opener = None
        if self.after is not None:
            self.after.forget_session()
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
        self.send_path.seal_control(_HANDSHAKE, message)

    def send_change_cipher_spec(self) -> None:
        self.send_path.queue_record(_CHANGE_CIPHER_SPEC)

    def set_write_protection(self, sealer: Sealer) -> None:
        self.send_path.set_protection(sealer)

    def set_read_protection(self, opener: Opener) -> None:
        # RFC 9846 §5.1: a message that precedes a key change ends at a record boundary.
        if self._joiner is not None and not self._joiner.empty:
            raise UnexpectedMessage("handshake data behind a key change in one record")
        self.receive_path.set_protection(opener)

    def enter_tls12(self) -> None:
        self.tls12 = True
        self.receive_path.compatibility_ccs_allowed = False

    def change_write_protection(self, sealer: Sealer) -> None:
        self.send_path.seal_control(ContentType.CHANGE_CIPHER_SPEC, b"\x01")
        self.send_path.set_protection(sealer)

    def expect_change_cipher_spec(self, opener: Opener) -> None:
        self._next_opener = opener
        self.receive_path.change_cipher_spec_expected = True

    def renegotiate(self, generator: HandshakeGenerator) -> None:
        if self.send_path.closed:
            # RFC 5246 §7.2.1: nothing is sent behind close_notify, a handshake neither.
            return
        self.send_path.hold()
        self.start(generator)

    def refuse_renegotiation(self) -> None:
        if self.send_path.output_size > 2 * SEND_WINDOW:
            raise TooMuchError("the peer asks for more than it reads")
        if not self.send_path.closed:
            self.send_alert(AlertDescription.NO_RENEGOTIATION)

    def allow_compatibility_ccs(self, allowed: bool) -> None:
        self.receive_path.compatibility_ccs_allowed = allowed

    def allow_plaintext_alert(self, allowed: bool) -> None:
        self.receive_path.plaintext_alert_allowed = allowed

    def skip_early_data(self) -> None:
        self.receive_path.early_data_room = MAX_SKIPPED_EARLY_DATA

    def complete(self, result: Negotiated, after: AfterHandshake) -> None:
        self.negotiated = result
        self.after = after
        self.send_path.go_on()
        self.send_path.rekey = None if self.tls12 else after.rekey
        self.receive_path.application_data_allowed = True
        self.receive_path.compatibility_ccs_allowed = False
        self.receive_path.plaintext_alert_allowed = False

    def request_write_key_update(self) -> None:
        self.send_path.request_rekey()

    @property
    def delivered(self) -> int:
        return self.receive_path.delivered

    @property
    def progress(self) -> int:
        return self.receive_path.delivered + self.send_path.committed

    # ---- helpers ----------------------------------------------------------------------------------

    def _handle_message(self, message_type: int, raw: bytes) -> None:
        runner = self._runner
        if runner is None:
            assert self.after is not None
            if self.send_path.exhausted:
                # RFC 9846 §5.5: answers count too, and a peer can ask for them without end.
                self.send_path.request_rekey()
            self.after.handle(message_type, raw, self)
            return
        if self._next_opener is not None and message_type != HandshakeType.HELLO_REQUEST:
            # RFC 5246 §7.4.9: it is a fatal error if a Finished is not preceded by a ChangeCipherSpec.
            name = name_of(HandshakeType, message_type).lower()
            raise UnexpectedMessage(f"{name} received in state {self.state} before change_cipher_spec")
        runner.receive(message_type, raw)
        if runner.done:
            self._runner = None

    def _handle_change_cipher_spec(self) -> None:
        """The peer's change_cipher_spec, which the receive path lets through only where one is expected."""
        opener, self._next_opener = self._next_opener, None
        assert opener is not None
        self.receive_path.change_cipher_spec_expected = False
        self.set_read_protection(opener)
        # RFC 5246 §7.1: Finished follows immediately; application data under new keys only behind it.
        self.receive_path.application_data_allowed = False

    def _handle_alert(self, fragment: bytes) -> None:
        if self._joiner is not None and not self._joiner.empty and not self.tls12:
            raise UnexpectedMessage("an alert between the fragments of a handshake message")
        # RFC 9846 §6: the level is ignored; every alert but the two closure alerts is an error.
        level, description = fragment
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
        if level == AlertLevel.WARNING and self._survives_warning(description):
            return
        raise AlertReceived(description)

    def _survives_warning(self, description: int) -> bool:
        """TLS 1.2 has warnings that a connection survives (RFC 5246 §7.2)."""
        if not self.tls12:
            # RFC 6066 §3: servers of TLS 1.2 warn so before their ServerHello, which tells the version.
            early = self._runner is not None and self._runner.state == "WAIT_SH"
            if not (early and self.tls12_offered) or description != AlertDescription.UNRECOGNIZED_NAME:
                return False
        if self.progress != self._warned_at:
            # Data in between is progress: over a long life there may be any number of warnings.
            self._warned_at = self.progress
            self._warnings = 0
        self._warnings += 1
        if self._warnings > MAX_EMPTY_RECORDS:
            raise TooMuchError("a flood of warning alerts")
        runner = self._runner
        if (
            description == AlertDescription.NO_RENEGOTIATION
            and runner is not None
            and runner.state == "WAIT_SH"
        ):
            # RFC 5246 §7.2.2: the renegotiation is off; the connection goes on under its present keys.
            self._runner = None
            runner.close()
            self.send_path.go_on()
        return True
