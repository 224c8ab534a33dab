"""Extensions (RFC 9846 §4.3): the block, what may stand where, and each one's extension_data.

`parse_x` and `encode_x` stand side by side and deal in extension_data only, without type and length.
Parsing raises `DecodeError` for bad syntax, trailing data included (§4.3), and `IllegalParameter` for a value
that the extension's own specification forbids. What depends on other messages is the handshake's to check.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from enum import Enum
from typing import Final

from tlswrite.codec import (
    Reader,
    encode_u16s,
    only_u16,
    only_vector8,
    only_vector16,
    parse_u16s,
    u8,
    u16,
    u32,
    vector8,
    vector16,
    vector24,
)
from tlswrite.errors import DecodeError, IllegalParameter
from tlswrite.iana import CertificateStatusType, ExtensionType, NameType, name_of
from tlswrite.limits import MAX_EXTENSIONS, MAX_OCSP_RESPONSE, MIN_RECORD_SIZE_LIMIT
from tlswrite.messages.base import Extensions

# ---- the block ------------------------------------------------------------------------------------


class Place(Enum):
    """The messages that carry extensions, with the abbreviations of RFC 9846 §4.3."""

    CH = "ClientHello"
    SH = "ServerHello"
    EE = "EncryptedExtensions"
    CT = "Certificate"
    CR = "CertificateRequest"
    NST = "NewSessionTicket"
    HRR = "HelloRetryRequest"
    SH12 = "ServerHello of TLS 1.2"


def parse_extensions(block: bytes) -> Extensions:
    """The extensions of a block, given without the block's own length."""
    found: list[tuple[int, bytes]] = []
    seen: set[int] = set()
    at, end = 0, len(block)
    try:
        while at < end:
            code, size = _HEAD.unpack_from(block, at)
            at += 4 + size
            found.append((code, block[at - size : at]))
            seen.add(code)
    except struct.error:
        raise DecodeError(f"{end - at} bytes left over at the end of the extensions") from None
    # A slice that runs past the end is short without an error: `at` tells.
    if at != end:
        raise DecodeError(f"extension 0x{code:04x} runs {at - end} bytes past the end of the extensions")
    if len(found) > MAX_EXTENSIONS:
        raise DecodeError(f"{len(found)} extensions in one message, more than {MAX_EXTENSIONS}")
    # RFC 9846 §4.3: there MUST NOT be more than one extension of the same type in a block.
    if len(seen) != len(found):
        raise IllegalParameter("an extension appears twice in one message")
    return tuple(found)


def encode_extensions(extensions: Extensions) -> bytes:
    """The block with its length."""
    parts = []
    try:
        for code, data in extensions:
            parts.append(_HEAD.pack(code, len(data)))
            parts.append(data)
    except struct.error as error:
        raise ValueError(f"extension 0x{code:04x} with {len(data)} bytes cannot be encoded") from error
    return vector16(b"".join(parts))


_HEAD = struct.Struct(">HH")

_CH_ONLY: Final = frozenset({Place.CH})
_TLS12: Final = frozenset({Place.CH, Place.SH12})

#: Where each extension that is recognised here may stand, in TLS 1.3 (RFC 9846 §4.3, the table; the registry
#: "TLS ExtensionType Values" for those that the RFC does not list). The ones that only TLS 1.2 uses may stand
#: in a ClientHello, which may be offering both versions.
ALLOWED: Final[dict[ExtensionType, frozenset[Place]]] = {
    ExtensionType.SERVER_NAME: frozenset({Place.CH, Place.EE, Place.CR, Place.SH12}),
    ExtensionType.MAX_FRAGMENT_LENGTH: frozenset({Place.CH, Place.EE, Place.SH12}),
    ExtensionType.STATUS_REQUEST: frozenset({Place.CH, Place.CR, Place.CT, Place.SH12}),
    ExtensionType.SUPPORTED_GROUPS: frozenset({Place.CH, Place.EE, Place.SH12}),
    ExtensionType.EC_POINT_FORMATS: _TLS12,
    ExtensionType.SIGNATURE_ALGORITHMS: frozenset({Place.CH, Place.CR}),
    ExtensionType.APPLICATION_LAYER_PROTOCOL_NEGOTIATION: frozenset({Place.CH, Place.EE, Place.SH12}),
    ExtensionType.SIGNED_CERTIFICATE_TIMESTAMP: frozenset({Place.CH, Place.CR, Place.CT, Place.SH12}),
    ExtensionType.CLIENT_CERTIFICATE_TYPE: frozenset({Place.CH, Place.EE, Place.SH12}),
    ExtensionType.SERVER_CERTIFICATE_TYPE: frozenset({Place.CH, Place.EE, Place.SH12}),
    ExtensionType.PADDING: _CH_ONLY,
    ExtensionType.ENCRYPT_THEN_MAC: _TLS12,
    ExtensionType.EXTENDED_MAIN_SECRET: _TLS12,
    ExtensionType.COMPRESS_CERTIFICATE: frozenset({Place.CH, Place.CR}),
    ExtensionType.RECORD_SIZE_LIMIT: frozenset({Place.CH, Place.EE, Place.SH12}),
    ExtensionType.SESSION_TICKET: _TLS12,
    ExtensionType.PRE_SHARED_KEY: frozenset({Place.CH, Place.SH}),
    ExtensionType.EARLY_DATA: frozenset({Place.CH, Place.EE, Place.NST}),
    ExtensionType.SUPPORTED_VERSIONS: frozenset({Place.CH, Place.SH, Place.HRR}),
    ExtensionType.COOKIE: frozenset({Place.CH, Place.HRR}),
    ExtensionType.PSK_KEY_EXCHANGE_MODES: _CH_ONLY,
    ExtensionType.CERTIFICATE_AUTHORITIES: frozenset({Place.CH, Place.CR}),
    ExtensionType.OID_FILTERS: frozenset({Place.CR}),
    ExtensionType.POST_HANDSHAKE_AUTH: _CH_ONLY,
    ExtensionType.SIGNATURE_ALGORITHMS_CERT: frozenset({Place.CH, Place.CR}),
    ExtensionType.KEY_SHARE: frozenset({Place.CH, Place.SH, Place.HRR}),
    ExtensionType.RENEGOTIATION_INFO: _TLS12,
}

_FORBIDDEN: Final = {
    place: frozenset(code for code, places in ALLOWED.items() if place not in places) for place in Place
}


def check_allowed(extensions: Extensions, place: Place) -> None:
    """Raise `IllegalParameter` if a recognised extension stands in a message that is not its place."""
    # RFC 9846 §4.3: a recognised extension that is not specified for the message MUST be refused with
    # "illegal_parameter"; §4.4.1 says so again of EncryptedExtensions.
    forbidden = _FORBIDDEN[place]
    for code, _ in extensions:
        if code in forbidden:
            raise IllegalParameter(f"{name_of(ExtensionType, code).lower()} must not stand in {place.value}")


# ---- the ClientHello's server: server_name, ALPN --------------------------------------------------


def parse_server_name(data: bytes) -> str | None:
    """The host name of a client's server_name (RFC 6066 §3) as ASCII; None when it has none.

    Names of other types are skipped, as is a literal address, which the RFC does not permit but deployed
    clients send: such a client is served as if it had named nothing.
    """
    names = Reader(only_vector16(data, 1))
    host: bytes | None = None
    seen: set[int] = set()
    while not names.at_end():
        name_type = names.u8()
        # RFC 6066 §3: the data of every future type begins with a 16-bit length.
        name = names.vector16(1)
        if name_type in seen:
            # RFC 6066 §3: MUST NOT contain more than one name of the same type.
            raise IllegalParameter("server_name has two names of one type")
        seen.add(name_type)
        if name_type == NameType.host_name:
            host = name
    if host is None:
        return None
    # The length first: over a long name the pattern of an address takes quadratic time.
    if len(host) <= _MAX_HOST:
        if _ADDRESS.fullmatch(host):
            return None
        if _HOST.fullmatch(host):
            return host.decode("ascii")
    raise DecodeError("server_name is not a host name in ASCII")


def encode_server_name(host: str) -> bytes:
    """`host` in ASCII (A-labels, RFC 5890), no trailing dot, no address; ValueError for anything else."""
    try:
        name = host.encode("ascii")
    except UnicodeEncodeError:
        name = b""
    if len(name) > _MAX_HOST or not _HOST.fullmatch(name) or _ADDRESS.fullmatch(name):
        raise ValueError(f"not a host name in ASCII: {host!r}")
    return vector16(u8(NameType.host_name) + vector16(name))


_MAX_HOST: Final = 253
# Letters, digits, hyphens, and the underscore that names in use have; no empty label, no trailing dot.
_HOST: Final = re.compile(rb"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")
_ADDRESS: Final = re.compile(rb"[0-9]{1,3}(?:\.[0-9]{1,3}){3}|\[?[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*\]?")


def parse_alpn(data: bytes) -> tuple[bytes, ...]:
    """The protocols that a client offers, most preferred first (RFC 7301 §3.1)."""
    names = Reader(only_vector16(data, 2))
    protocols = []
    while not names.at_end():
        protocols.append(names.vector8(1))
    return tuple(protocols)


def encode_alpn(protocols: Sequence[bytes]) -> bytes:
    return vector16(b"".join(map(vector8, protocols)))


def parse_alpn_server(data: bytes) -> bytes:
    """The protocol that the server chose."""
    protocols = parse_alpn(data)
    # RFC 7301 §3.1: the server's list MUST contain exactly one name.
    if len(protocols) != 1:
        raise IllegalParameter(f"the server chose {len(protocols)} application protocols")
    return protocols[0]


def encode_alpn_server(protocol: bytes) -> bytes:
    return encode_alpn((protocol,))


# ---- versions, groups, signatures -----------------------------------------------------------------


def parse_supported_versions_client(data: bytes) -> tuple[int, ...]:
    """The versions that a client offers, most preferred first (RFC 9846 §4.3.1)."""
    return parse_u16s(only_vector8(data, 2, 254))


def encode_supported_versions_client(versions: Sequence[int]) -> bytes:
    return vector8(encode_u16s(versions))


def parse_supported_versions_server(data: bytes) -> int:
    """selected_version of a ServerHello or HelloRetryRequest (RFC 9846 §4.3.1)."""
    return only_u16(data)


def encode_supported_versions_server(version: int) -> bytes:
    return u16(version)


def parse_supported_groups(data: bytes) -> tuple[int, ...]:
    """named_group_list, most preferred first (RFC 9846 §4.3.7)."""
    return parse_u16s(only_vector16(data, 2))


def encode_supported_groups(groups: Sequence[int]) -> bytes:
    return vector16(encode_u16s(groups))


def parse_signature_algorithms(data: bytes) -> tuple[int, ...]:
    """The schemes of signature_algorithms(_cert), most preferred first (RFC 9846 §4.3.3)."""
    return parse_u16s(only_vector16(data, 2, 0xFFFE))


def encode_signature_algorithms(schemes: Sequence[int]) -> bytes:
    return vector16(encode_u16s(schemes))


# ---- key_share, cookie ----------------------------------------------------------------------------


def parse_key_share_client(data: bytes) -> tuple[tuple[int, bytes], ...]:
    """client_shares: group and key_exchange of each, most preferred first (RFC 9846 §4.3.8); may be empty."""
    entries = Reader(only_vector16(data))
    shares = []
    while not entries.at_end():
        shares.append((entries.u16(), entries.vector16(1)))
    # RFC 9846 §4.3.8: clients MUST NOT offer two shares for one group; a server may check.
    if len({group for group, _ in shares}) != len(shares):
        raise IllegalParameter("key_share has two shares for one group")
    return tuple(shares)


def encode_key_share_client(shares: Sequence[tuple[int, bytes]]) -> bytes:
    return vector16(b"".join(u16(group) + vector16(key_exchange) for group, key_exchange in shares))


def parse_key_share_server(data: bytes) -> tuple[int, bytes]:
    """server_share: group and key_exchange (RFC 9846 §4.3.8)."""
    reader = Reader(data)
    share = (reader.u16(), reader.vector16(1))
    reader.finish()
    return share


def encode_key_share_server(group: int, key_exchange: bytes) -> bytes:
    return u16(group) + vector16(key_exchange)


def parse_key_share_hello_retry(data: bytes) -> int:
    """selected_group of a HelloRetryRequest (RFC 9846 §4.3.8)."""
    return only_u16(data)


def encode_key_share_hello_retry(group: int) -> bytes:
    return u16(group)


def parse_cookie(data: bytes) -> bytes:
    """cookie (RFC 9846 §4.3.2)."""
    return only_vector16(data, 1)


def encode_cookie(cookie: bytes) -> bytes:
    return vector16(cookie)


# ---- record_size_limit ----------------------------------------------------------------------------


def parse_record_size_limit(data: bytes) -> int:
    """The largest record the peer takes, in bytes of TLSInnerPlaintext (RFC 8449 §4)."""
    limit = only_u16(data)
    # RFC 8449 §4: a value smaller than 64 MUST be refused with "illegal_parameter".
    if limit < MIN_RECORD_SIZE_LIMIT:
        raise IllegalParameter(f"record_size_limit of {limit} is under {MIN_RECORD_SIZE_LIMIT}")
    return limit


def encode_record_size_limit(limit: int) -> bytes:
    return u16(limit)


# ---- PSK modes, early data ------------------------------------------------------------------------


def parse_psk_key_exchange_modes(data: bytes) -> tuple[int, ...]:
    """ke_modes (RFC 9846 §4.3.9)."""
    return tuple(only_vector8(data, 1))


def encode_psk_key_exchange_modes(modes: Sequence[int]) -> bytes:
    return vector8(bytes(modes))


def parse_early_data(data: bytes) -> None:
    """early_data of a ClientHello or EncryptedExtensions: empty (RFC 9846 §4.3.10)."""
    _empty(data)


def encode_early_data() -> bytes:
    return b""


def parse_early_data_ticket(data: bytes) -> int:
    """max_early_data_size of a NewSessionTicket, in bytes (RFC 9846 §4.7.1)."""
    reader = Reader(data)
    size = reader.u32()
    reader.finish()
    return size


def encode_early_data_ticket(size: int) -> bytes:
    return u32(size)


# ---- certificates ---------------------------------------------------------------------------------


def parse_certificate_authorities(data: bytes) -> tuple[bytes, ...]:
    """Distinguished names in DER (RFC 9846 §4.3.4)."""
    names = Reader(only_vector16(data, 3))
    authorities = []
    while not names.at_end():
        authorities.append(names.vector16(1))
    return tuple(authorities)


def encode_certificate_authorities(authorities: Sequence[bytes]) -> bytes:
    return vector16(b"".join(map(vector16, authorities)))


def parse_post_handshake_auth(data: bytes) -> None:
    """post_handshake_auth: empty (RFC 9846 §4.3.6)."""
    _empty(data)


def encode_post_handshake_auth() -> bytes:
    return b""


def parse_status_request(data: bytes) -> tuple[tuple[bytes, ...], bytes] | None:
    """A client's status_request (RFC 6066 §8): responder_id_list and request_extensions (DER).

    None when it asks for a type of status other than OCSP, which is to be ignored.
    """
    reader = Reader(data)
    if reader.u8() != CertificateStatusType.ocsp:
        return None
    ids = reader.sub16()
    request_extensions = reader.vector16()
    reader.finish()
    responders = []
    while not ids.at_end():
        responders.append(ids.vector16(1))
    return tuple(responders), request_extensions


def encode_status_request(responders: Sequence[bytes] = (), request_extensions: bytes = b"") -> bytes:
    return (
        u8(CertificateStatusType.ocsp)
        + vector16(b"".join(map(vector16, responders)))
        + vector16(request_extensions)
    )


def parse_status_request_empty(data: bytes) -> None:
    """status_request of a CertificateRequest (RFC 9846 §4.5.1.1), or of TLS 1.2's ServerHello (RFC 6066 §8)."""
    _empty(data)


def encode_status_request_empty() -> bytes:
    return b""


def parse_certificate_status(data: bytes | memoryview) -> bytes:
    """The OCSP response (DER) of a CertificateStatus structure (RFC 6066 §8).

    In TLS 1.3 it is the status_request of a CertificateEntry (RFC 9846 §4.5.1.1), in TLS 1.2 a message's body.
    """
    reader = Reader(data)
    status_type = reader.u8()
    if status_type != CertificateStatusType.ocsp:
        raise IllegalParameter(f"certificate status of the type {status_type}, which was not asked for")
    response = reader.vector24(1, MAX_OCSP_RESPONSE)
    reader.finish()
    return response


def encode_certificate_status(response: bytes) -> bytes:
    return u8(CertificateStatusType.ocsp) + vector24(response)


# ---- helpers --------------------------------------------------------------------------------------


def _empty(data: bytes) -> None:
    if data:
        Reader(data).finish()
