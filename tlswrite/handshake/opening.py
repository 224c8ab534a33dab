"""The first message of each side, exchanged before it is known which version's handshake goes on."""

from __future__ import annotations

from typing import Final

from tlswrite.handshake.offer import Offer
from tlswrite.handshake.runner import HandshakeIO, Wait
from tlswrite.iana import HandshakeType, ProtocolVersion
from tlswrite.record.protection import NullSealer

__all__ = ["START", "WAIT_SH", "send_client_hello"]

#: Waits for a ClientHello, the first or the one after a HelloRetryRequest (RFC 9846 §A.2).
START: Final = Wait("START", HandshakeType.CLIENT_HELLO)

#: Waits for the answer to a ClientHello (RFC 9846 §A.1).
WAIT_SH: Final = Wait("WAIT_SH", HandshakeType.SERVER_HELLO)

#: The record version of an initial ClientHello (RFC 9846 §5.1).
_INITIAL_RECORD_VERSION: Final = ProtocolVersion.TLS_1_0


def send_client_hello(io: HandshakeIO, offer: Offer) -> None:
    """Send the ClientHello that opens a connection."""
    # RFC 9846 §5.1: the record of an initial ClientHello SHOULD have version 0x0301, all others 0x0303.
    io.set_write_protection(NullSealer(_INITIAL_RECORD_VERSION))
    io.send(offer.message)
    io.set_write_protection(NullSealer())
    io.allow_compatibility_ccs(True)
