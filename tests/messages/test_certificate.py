"""Certificate, CertificateRequest, CertificateVerify."""

from __future__ import annotations

import pytest

from tlswrite.errors import DecodeError, IllegalParameter
from tlswrite.iana import ExtensionType, HandshakeType, SignatureScheme
from tlswrite.limits import MAX_CHAIN_LENGTH
from tlswrite.messages.certificate import (
    Certificate,
    CertificateEntry,
    CertificateRequest,
    CertificateVerify,
)

STATUS = (int(ExtensionType.STATUS_REQUEST), b"\x01\x00\x00\x01\xaa")
CHAIN = Certificate(b"", (CertificateEntry(b"leaf", (STATUS,)), CertificateEntry(b"issuer")))
REQUEST = CertificateRequest(b"ctx", ((ExtensionType.SIGNATURE_ALGORITHMS, b"\x00\x02\x08\x07"),))
VERIFY = CertificateVerify(SignatureScheme.ed25519, b"signature")


@pytest.mark.parametrize(
    ("message", "message_type", "body"),
    [
        (
            CHAIN,
            HandshakeType.CERTIFICATE,
            "00" + "00001d" + "000004" + b"leaf".hex() + "0009" + "00050005" + "01000001aa"
            "000006" + b"issuer".hex() + "0000",
        ),
        (Certificate(b"ctx", ()), HandshakeType.CERTIFICATE, "03" + b"ctx".hex() + "000000"),
        (REQUEST, HandshakeType.CERTIFICATE_REQUEST, "03" + b"ctx".hex() + "0008" + "000d0004" + "00020807"),
        (VERIFY, HandshakeType.CERTIFICATE_VERIFY, "0807" + "0009" + b"signature".hex()),
    ],
)
def test_message_on_the_wire(
    message: Certificate | CertificateRequest | CertificateVerify, message_type: HandshakeType, body: str
) -> None:
    raw = bytes.fromhex(body)
    assert message.TYPE is message_type
    assert message.encode() == bytes([message_type]) + len(raw).to_bytes(3, "big") + raw
    assert type(message).parse(raw) == message
    assert type(message).parse(memoryview(raw)) == message


@pytest.mark.parametrize("message", [CHAIN, REQUEST, VERIFY])
def test_message_cut_anywhere_is_a_decode_error(
    message: Certificate | CertificateRequest | CertificateVerify,
) -> None:
    body = message.encode()[4:]
    for cut in range(len(body)):
        with pytest.raises(DecodeError):
            type(message).parse(body[:cut])
    with pytest.raises(DecodeError, match="1 bytes left over"):
        type(message).parse(body + b"\x00")


def test_empty_certificate_entry_is_a_decode_error() -> None:
    # RFC 9846 §4.5.1: cert_data<1..2^24-1>.
    with pytest.raises(DecodeError, match="vector of 0 bytes"):
        Certificate.parse(Certificate(b"", (CertificateEntry(b""),)).encode()[4:])


def test_chain_has_a_bounded_length() -> None:
    longest = Certificate(b"", (CertificateEntry(b"x"),) * MAX_CHAIN_LENGTH)
    assert Certificate.parse(longest.encode()[4:]) == longest
    longer = Certificate(b"", (CertificateEntry(b"x"),) * (MAX_CHAIN_LENGTH + 1))
    with pytest.raises(DecodeError, match=f"more than {MAX_CHAIN_LENGTH} certificates"):
        Certificate.parse(longer.encode()[4:])


@pytest.mark.parametrize(
    "message",
    [
        Certificate(b"", (CertificateEntry(b"leaf", (STATUS, STATUS)),)),
        CertificateRequest(b"", (STATUS, STATUS)),
    ],
)
def test_duplicate_extension_is_an_illegal_parameter(message: Certificate | CertificateRequest) -> None:
    with pytest.raises(IllegalParameter, match="an extension appears twice"):
        type(message).parse(message.encode()[4:])


def test_extension_of_an_entry() -> None:
    assert CHAIN.entries[0].extension(ExtensionType.STATUS_REQUEST) == STATUS[1]
    assert CHAIN.entries[1].extension(ExtensionType.STATUS_REQUEST) is None
    assert REQUEST.extension(ExtensionType.SIGNATURE_ALGORITHMS) is not None
