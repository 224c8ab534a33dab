"""Handshake framing (RFC 9846 §4, §5.1): the table of message types, and the joiner of fragments.

Records may cut the stream of handshake messages anywhere: one message over many records, many in one.
`Joiner` puts it together again. Its invariants:

* a message is refused by its declared length as soon as the four header bytes are there;
* nothing is copied when a fragment holds exactly one message, and every byte is copied a bounded number of
  times however finely the peer cuts;
* when no message is incomplete it holds nothing.
"""

from __future__ import annotations

from typing import Final

from tlswrite.errors import DecodeError
from tlswrite.iana import HandshakeType, name_of
from tlswrite.limits import MAX_CERTIFICATE_MESSAGE, MAX_HANDSHAKE_MESSAGE, MAX_OCSP_RESPONSE
from tlswrite.messages.base import HEADER_SIZE, HandshakeMessage, frame
from tlswrite.messages.certificate import Certificate, CertificateRequest, CertificateVerify
from tlswrite.messages.finish import (
    EncryptedExtensions,
    EndOfEarlyData,
    Finished,
    KeyUpdate,
    NewSessionTicket,
)
from tlswrite.messages.hello import ClientHello, ServerHello
from tlswrite.messages.tls12 import (
    Certificate12,
    CertificateRequest12,
    CertificateStatus,
    ClientKeyExchange,
    HelloRequest,
    NewSessionTicket12,
    ServerHelloDone,
    ServerKeyExchange,
)

__all__ = ["HEADER_SIZE", "MESSAGES", "MESSAGES12", "HandshakeMessage", "Joiner", "frame"]

#: The messages of TLS 1.3 (RFC 9846 §B.3) by their type.
MESSAGES: Final[dict[HandshakeType, type[HandshakeMessage]]] = {
    HandshakeType.CLIENT_HELLO: ClientHello,
    HandshakeType.SERVER_HELLO: ServerHello,
    HandshakeType.NEW_SESSION_TICKET: NewSessionTicket,
    HandshakeType.END_OF_EARLY_DATA: EndOfEarlyData,
    HandshakeType.ENCRYPTED_EXTENSIONS: EncryptedExtensions,
    HandshakeType.CERTIFICATE: Certificate,
    HandshakeType.CERTIFICATE_REQUEST: CertificateRequest,
    HandshakeType.CERTIFICATE_VERIFY: CertificateVerify,
    HandshakeType.FINISHED: Finished,
    HandshakeType.KEY_UPDATE: KeyUpdate,
}

#: The messages of TLS 1.2 (RFC 5246 §7.4) by their type.
MESSAGES12: Final[dict[HandshakeType, type[HandshakeMessage]]] = {
    HandshakeType.HELLO_REQUEST: HelloRequest,
    HandshakeType.CLIENT_HELLO: ClientHello,
    HandshakeType.SERVER_HELLO: ServerHello,
    HandshakeType.NEW_SESSION_TICKET: NewSessionTicket12,
    HandshakeType.CERTIFICATE: Certificate12,
    HandshakeType.SERVER_KEY_EXCHANGE: ServerKeyExchange,
    HandshakeType.CERTIFICATE_REQUEST: CertificateRequest12,
    HandshakeType.SERVER_HELLO_DONE: ServerHelloDone,
    HandshakeType.CERTIFICATE_VERIFY: CertificateVerify,
    HandshakeType.CLIENT_KEY_EXCHANGE: ClientKeyExchange,
    HandshakeType.FINISHED: Finished,
    HandshakeType.CERTIFICATE_STATUS: CertificateStatus,
}


class Joiner:
    """Joins the fragments of handshake records into messages.

    Call `next` until it returns None after each `feed`.
    """

    __slots__ = ("_at", "_data", "_need")

    def __init__(self) -> None:
        self._data: bytes | bytearray = b""
        self._at = 0  # where the message to be cut next begins in _data
        self._need = HEADER_SIZE  # how long _data must be for the next step: a header, or a whole message

    @property
    def empty(self) -> bool:
        """Whether no message is incomplete or waiting: the end of a record is then the end of a message."""
        return not self._data

    @property
    def incomplete(self) -> int | None:
        """The type of the message that has begun and is not all there; None where there is none."""
        return self._data[self._at] if self._data else None

    def feed(self, fragment: bytes | bytearray | memoryview) -> None:
        """Append the content of one handshake record."""
        data = self._data
        if not data:
            self._data = bytes(fragment)
            return
        if isinstance(data, bytes):
            data = self._data = bytearray(data)
        data += fragment

    def next(self) -> tuple[int, bytes] | None:
        """The type and the bytes, header included, of the next message; None while it is incomplete.

        Raises `DecodeError` for a message whose declared length is over `max_size`.
        """
        data = self._data
        size = len(data)
        need = self._need
        if size < need:
            self._drop_cut()
            return None
        at = self._at
        message_type = data[at]
        if need == at + HEADER_SIZE:
            length = data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3]
            if length > self.max_size(message_type):
                raise DecodeError(
                    f"{name_of(HandshakeType, message_type)} of {length} bytes, "
                    f"more than {self.max_size(message_type)}"
                )
            need += length
            self._need = need
            if size < need:
                self._drop_cut()
                return None
        raw = bytes(data[at:need])
        if need == size:
            self._data = b""
            need = 0
        self._at = need
        self._need = need + HEADER_SIZE
        return message_type, raw

    @staticmethod
    def max_size(message_type: int) -> int:
        """The largest body accepted of a message of this type, in bytes."""
        return _MAX_SIZE.get(message_type, MAX_HANDSHAKE_MESSAGE)

    def _drop_cut(self) -> None:
        """Forget the messages that were cut off already, so that only the incomplete one is held."""
        if self._at:
            self._data = self._data[self._at :]
            self._need -= self._at
            self._at = 0


_MAX_SIZE: Final[dict[int, int]] = {
    HandshakeType.END_OF_EARLY_DATA: 0,
    # Its type and length before the response (RFC 6066 §8).
    HandshakeType.CERTIFICATE_STATUS: 4 + MAX_OCSP_RESPONSE,
    HandshakeType.KEY_UPDATE: 1,
    HandshakeType.CERTIFICATE: MAX_CERTIFICATE_MESSAGE,
    HandshakeType.COMPRESSED_CERTIFICATE: MAX_CERTIFICATE_MESSAGE,
}
