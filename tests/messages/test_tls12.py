"""The messages of TLS 1.2 alone: each on the wire, cut, with a byte too many, and at its limits."""

from __future__ import annotations

import pytest

from tlswrite.errors import DecodeError, IllegalParameter
from tlswrite.iana import AlertDescription, HandshakeType
from tlswrite.limits import MAX_CERTIFICATE_MESSAGE, MAX_CHAIN_LENGTH, MAX_OCSP_RESPONSE
from tlswrite.messages.framing import MESSAGES12, HandshakeMessage, Joiner
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

KEY_EXCHANGE = ServerKeyExchange(29, b"public", 0x0403, b"signature")
REQUEST = CertificateRequest12((64, 1), (0x0403, 0x0401), (b"one", b"another"))
CHAIN = Certificate12((b"leaf", b"issuer"))

# Message, type, and body: the cuts below assume that no prefix of a body is a body.
WIRE: list[tuple[HandshakeMessage, HandshakeType, str]] = [
    (HelloRequest(), HandshakeType.HELLO_REQUEST, ""),
    (
        CHAIN,
        HandshakeType.CERTIFICATE,
        "000010" + "000004" + b"leaf".hex() + "000006" + b"issuer".hex(),
    ),
    # RFC 5246 §7.4.6: a client that has none sends a message containing no certificates.
    (Certificate12(()), HandshakeType.CERTIFICATE, "000000"),
    (
        KEY_EXCHANGE,
        HandshakeType.SERVER_KEY_EXCHANGE,
        "03" + "001d" + "06" + b"public".hex() + "0403" + "0009" + b"signature".hex(),
    ),
    (
        REQUEST,
        HandshakeType.CERTIFICATE_REQUEST,
        "02" + "4001" + "0004" + "04030401" + "000e" + "0003" + b"one".hex() + "0007" + b"another".hex(),
    ),
    # RFC 5246 §7.4.4: certificate_authorities<0..2^16-1>.
    (
        CertificateRequest12((1,), (0x0401,)),
        HandshakeType.CERTIFICATE_REQUEST,
        "01" + "01" + "0002" + "0401" + "0000",
    ),
    (ServerHelloDone(), HandshakeType.SERVER_HELLO_DONE, ""),
    (ClientKeyExchange(b"public"), HandshakeType.CLIENT_KEY_EXCHANGE, "06" + b"public".hex()),
    (CertificateStatus(b"ocsp"), HandshakeType.CERTIFICATE_STATUS, "01" + "000004" + b"ocsp".hex()),
    (
        NewSessionTicket12(0x01020304, b"ticket"),
        HandshakeType.NEW_SESSION_TICKET,
        "01020304" + "0006" + b"ticket".hex(),
    ),
    # RFC 5077 §3.3: a server that changes its mind sends a ticket of no bytes.
    (NewSessionTicket12(0, b""), HandshakeType.NEW_SESSION_TICKET, "00000000" + "0000"),
]
of_each = pytest.mark.parametrize(
    ("message", "message_type", "body"), WIRE, ids=lambda part: type(part).__name__
)


@of_each
def test_message_on_the_wire(message: HandshakeMessage, message_type: HandshakeType, body: str) -> None:
    raw = bytes.fromhex(body)
    assert message.TYPE is message_type
    assert MESSAGES12[message_type] is type(message)
    assert message.encode() == bytes([message_type]) + len(raw).to_bytes(3, "big") + raw
    assert type(message).parse(raw) == message
    assert type(message).parse(memoryview(raw)) == message


@of_each
def test_message_cut_anywhere_is_a_decode_error(
    message: HandshakeMessage, message_type: HandshakeType, body: str
) -> None:
    # RFC 5246 §7.2.2: the length of the message was incorrect.
    raw = bytes.fromhex(body)
    for cut in range(len(raw)):
        with pytest.raises(DecodeError) as caught:
            type(message).parse(raw[:cut])
        assert caught.value.alert is AlertDescription.DECODE_ERROR


@of_each
def test_message_with_bytes_left_over_is_a_decode_error(
    message: HandshakeMessage, message_type: HandshakeType, body: str
) -> None:
    with pytest.raises(DecodeError, match="1 bytes left over"):
        type(message).parse(bytes.fromhex(body) + b"\x00")


def test_every_message_of_tls_1_2_alone_is_tried() -> None:
    assert {type(message) for message, _, _ in WIRE} == {
        kind for kind in MESSAGES12.values() if kind.__module__ == "tlswrite.messages.tls12"
    }


# ---- certificates -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "match"),
    [
        # RFC 5246 §7.4.2: opaque ASN.1Cert<1..2^24-1>.
        ("000003" + "000000", "vector of 0 bytes"),
        ("000007" + "000001" + "30" + "000000", "vector of 0 bytes"),
        # A certificate that is longer than the list it stands in.
        ("000004" + "000002" + "30", "2 bytes wanted"),
        ("000002" + "0000", "3 bytes wanted"),
    ],
)
def test_malformed_chains_are_decode_errors(body: str, match: str) -> None:
    with pytest.raises(DecodeError, match=match):
        Certificate12.parse(bytes.fromhex(body))


def test_length_of_a_chain_is_bounded() -> None:
    most = Certificate12((b"x",) * MAX_CHAIN_LENGTH)
    assert Certificate12.parse(most.encode()[4:]) == most
    with pytest.raises(DecodeError, match=f"more than {MAX_CHAIN_LENGTH} certificates in one chain"):
        Certificate12.parse(Certificate12((b"x",) * (MAX_CHAIN_LENGTH + 1)).encode()[4:])


def test_empty_ocsp_response_is_a_decode_error() -> None:
    # RFC 6066 §8: opaque OCSPResponse<1..2^24-1>.
    with pytest.raises(DecodeError, match="vector of 0 bytes"):
        CertificateStatus.parse(bytes.fromhex("01" + "000000"))


@pytest.mark.parametrize("status_type", [0, 2, 255])
def test_other_status_type_is_an_illegal_parameter(status_type: int) -> None:
    # RFC 6066 §8: only ocsp(1) can have been asked for.
    with pytest.raises(IllegalParameter, match=f"of the type {status_type}"):
        CertificateStatus.parse(bytes((status_type,)) + bytes.fromhex("000001" + "30"))


def test_messages_with_certificates_have_their_own_bounds() -> None:
    assert Joiner.max_size(HandshakeType.CERTIFICATE) == MAX_CERTIFICATE_MESSAGE
    # The type of the status, the length of the response, and the response.
    assert Joiner.max_size(HandshakeType.CERTIFICATE_STATUS) == 4 + MAX_OCSP_RESPONSE


# ---- key exchange -----------------------------------------------------------------------------------


@pytest.mark.parametrize("curve_type", [0, 1, 2, 4, 248, 255])
def test_other_curve_type_is_an_illegal_parameter(curve_type: int) -> None:
    # RFC 8422 §5.4: explicit_prime(1) and explicit_char2(2) are deprecated, only named_curve(3) is left.
    body = bytes((curve_type,)) + KEY_EXCHANGE.encode()[5:]
    with pytest.raises(IllegalParameter, match=f"curve type {curve_type}"):
        ServerKeyExchange.parse(body)


def test_what_the_signature_covers_is_what_was_sent() -> None:
    # RFC 8422 §5.4: ServerECDHParams, as on the wire.
    body = KEY_EXCHANGE.encode()[4:]
    params = ServerKeyExchange.parse(body).params
    assert params == bytes.fromhex("03" + "001d" + "06") + b"public"
    assert body.startswith(params)


def test_empty_shares_are_decode_errors() -> None:
    # RFC 8422 §5.4, §5.7: opaque point<1..2^8-1>.
    with pytest.raises(DecodeError, match="vector of 0 bytes"):
        ServerKeyExchange.parse(bytes.fromhex("03" + "001d" + "00" + "0403" + "0001" + "00"))
    with pytest.raises(DecodeError, match="vector of 0 bytes"):
        ClientKeyExchange.parse(b"\x00")


def test_shares_and_signatures_at_their_bounds() -> None:
    # RFC 5246 §4.7: opaque signature<0..2^16-1>; whether one verifies is for others to tell.
    for signature in (b"", bytes(65535)):
        message = ServerKeyExchange(0xFFFF, bytes(255), 0xFFFF, signature)
        assert ServerKeyExchange.parse(message.encode()[4:]) == message
    share = ClientKeyExchange(bytes(255))
    assert ClientKeyExchange.parse(share.encode()[4:]) == share


# ---- certificate request ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "match"),
    [
        # RFC 5246 §7.4.4: certificate_types<1..2^8-1>.
        ("00" + "0002" + "0403" + "0000", "vector of 0 bytes"),
        # supported_signature_algorithms<2..2^16-2>, of two bytes each (RFC 9846 §4.3.3 has it so).
        ("01" + "40" + "0000" + "0000", "vector of 0 bytes"),
        ("01" + "40" + "0003" + "040304" + "0000", "vector of 3 bytes"),
        # opaque DistinguishedName<1..2^16-1>.
        ("01" + "40" + "0002" + "0403" + "0002" + "0000", "vector of 0 bytes"),
        ("01" + "40" + "0002" + "0403" + "0003" + "0002" + "30", "2 bytes wanted"),
        ("01" + "40" + "0002" + "0403" + "0001" + "00", "2 bytes wanted"),
    ],
)
def test_malformed_requests_are_decode_errors(body: str, match: str) -> None:
    with pytest.raises(DecodeError, match=match):
        CertificateRequest12.parse(bytes.fromhex(body))


def test_unknown_types_and_schemes_of_a_request_are_kept() -> None:
    # RFC 5246 §7.4.4: what a client does not know is for it to pass over, not to refuse.
    message = CertificateRequest12((0, 255), (0x0A0A, 0xFFFF))
    assert CertificateRequest12.parse(message.encode()[4:]) == message


# ---- the callers' errors ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        ServerKeyExchange(29, bytes(256), 0x0403, b""),
        ServerKeyExchange(0x10000, b"x", 0x0403, b""),
        ServerKeyExchange(29, b"x", 0x0403, bytes(65536)),
        ClientKeyExchange(bytes(256)),
        CertificateRequest12((1,) * 256, (0x0403,)),
        CertificateRequest12((256,), (0x0403,)),
        CertificateRequest12((1,), (0x10000,)),
        NewSessionTicket12(2**32, b""),
        NewSessionTicket12(0, bytes(65536)),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_does_not_fit_is_the_callers_error(message: HandshakeMessage) -> None:
    with pytest.raises(ValueError):
        message.encode()


def test_ticket_is_in_no_repr() -> None:
    assert repr(NewSessionTicket12(7, b"secret")) == "NewSessionTicket12(lifetime_hint=7)"
