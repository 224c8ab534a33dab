"""Code points under their IANA names, in numeric order.

Sources: the IANA registries "Transport Layer Security (TLS) Parameters" and "TLS ExtensionType
Values"; RFC 9846 appendix B. The enums are open: a peer may send values that are not listed here
(GREASE, RFC 8701, among them), so wire values are kept as plain ints and compared with these.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = [
    "GREASE",
    "AlertDescription",
    "AlertLevel",
    "CertificateStatusType",
    "CertificateType",
    "CipherSuite",
    "ClientCertificateType",
    "ContentType",
    "ECCurveType",
    "ECPointFormat",
    "ExtensionType",
    "HandshakeType",
    "KeyUpdateRequest",
    "NameType",
    "NamedGroup",
    "ProtocolVersion",
    "PskKeyExchangeMode",
    "SignatureScheme",
    "name_of",
]


class ContentType(IntEnum):
    """TLS ContentType (RFC 9846 §5.1)."""

    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23


class ProtocolVersion(IntEnum):
    """ProtocolVersion as its two wire bytes (RFC 9846 §4.2.2)."""

    SSL_3_0 = 0x0300
    TLS_1_0 = 0x0301
    TLS_1_1 = 0x0302
    TLS_1_2 = 0x0303
    TLS_1_3 = 0x0304


class AlertLevel(IntEnum):
    """AlertLevel (RFC 9846 §6); ignored on receipt in TLS 1.3."""

    WARNING = 1
    FATAL = 2


class AlertDescription(IntEnum):
    """TLS Alerts (RFC 9846 §6)."""

    CLOSE_NOTIFY = 0
    UNEXPECTED_MESSAGE = 10
    BAD_RECORD_MAC = 20
    RECORD_OVERFLOW = 22
    HANDSHAKE_FAILURE = 40
    BAD_CERTIFICATE = 42
    UNSUPPORTED_CERTIFICATE = 43
    CERTIFICATE_REVOKED = 44
    CERTIFICATE_EXPIRED = 45
    CERTIFICATE_UNKNOWN = 46
    ILLEGAL_PARAMETER = 47
    UNKNOWN_CA = 48
    ACCESS_DENIED = 49
    DECODE_ERROR = 50
    DECRYPT_ERROR = 51
    TOO_MANY_CIDS_REQUESTED = 52
    PROTOCOL_VERSION = 70
    INSUFFICIENT_SECURITY = 71
    INTERNAL_ERROR = 80
    INAPPROPRIATE_FALLBACK = 86
    USER_CANCELED = 90
    NO_RENEGOTIATION = 100
    MISSING_EXTENSION = 109
    UNSUPPORTED_EXTENSION = 110
    UNRECOGNIZED_NAME = 112
    BAD_CERTIFICATE_STATUS_RESPONSE = 113
    UNKNOWN_PSK_IDENTITY = 115
    CERTIFICATE_REQUIRED = 116
    GENERAL_ERROR = 117
    NO_APPLICATION_PROTOCOL = 120
    ECH_REQUIRED = 121


class HandshakeType(IntEnum):
    """TLS HandshakeType (RFC 9846 §4)."""

    HELLO_REQUEST = 0
    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    NEW_SESSION_TICKET = 4
    END_OF_EARLY_DATA = 5
    ENCRYPTED_EXTENSIONS = 8
    CERTIFICATE = 11
    SERVER_KEY_EXCHANGE = 12
    CERTIFICATE_REQUEST = 13
    SERVER_HELLO_DONE = 14
    CERTIFICATE_VERIFY = 15
    CLIENT_KEY_EXCHANGE = 16
    FINISHED = 20
    CERTIFICATE_STATUS = 22
    KEY_UPDATE = 24
    COMPRESSED_CERTIFICATE = 25
    MESSAGE_HASH = 254


class ExtensionType(IntEnum):
    """TLS ExtensionType Values."""

    SERVER_NAME = 0
    MAX_FRAGMENT_LENGTH = 1
    STATUS_REQUEST = 5
    SUPPORTED_GROUPS = 10
    EC_POINT_FORMATS = 11
    SIGNATURE_ALGORITHMS = 13
    APPLICATION_LAYER_PROTOCOL_NEGOTIATION = 16
    SIGNED_CERTIFICATE_TIMESTAMP = 18
    CLIENT_CERTIFICATE_TYPE = 19
    SERVER_CERTIFICATE_TYPE = 20
    PADDING = 21
    ENCRYPT_THEN_MAC = 22
    EXTENDED_MAIN_SECRET = 23
    COMPRESS_CERTIFICATE = 27
    RECORD_SIZE_LIMIT = 28
    SESSION_TICKET = 35
    PRE_SHARED_KEY = 41
    EARLY_DATA = 42
    SUPPORTED_VERSIONS = 43
    COOKIE = 44
    PSK_KEY_EXCHANGE_MODES = 45
    CERTIFICATE_AUTHORITIES = 47
    OID_FILTERS = 48
    POST_HANDSHAKE_AUTH = 49
    SIGNATURE_ALGORITHMS_CERT = 50
    KEY_SHARE = 51
    RENEGOTIATION_INFO = 65281


class CipherSuite(IntEnum):
    """TLS Cipher Suites."""

    TLS_EMPTY_RENEGOTIATION_INFO_SCSV = 0x00FF
    TLS_AES_128_GCM_SHA256 = 0x1301
    TLS_AES_256_GCM_SHA384 = 0x1302
    TLS_CHACHA20_POLY1305_SHA256 = 0x1303
    TLS_FALLBACK_SCSV = 0x5600
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 = 0xC02B
    TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 = 0xC02C
    TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 = 0xC02F
    TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 = 0xC030
    TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 = 0xCCA8
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 = 0xCCA9


class NamedGroup(IntEnum):
    """TLS Supported Groups."""

    secp256r1 = 23
    secp384r1 = 24
    secp521r1 = 25
    x25519 = 29
    x448 = 30
    SecP256r1MLKEM768 = 4587
    X25519MLKEM768 = 4588
    SecP384r1MLKEM1024 = 4589


class SignatureScheme(IntEnum):
    """TLS SignatureScheme."""

    rsa_pkcs1_sha1 = 0x0201
    ecdsa_sha1 = 0x0203
    rsa_pkcs1_sha256 = 0x0401
    ecdsa_secp256r1_sha256 = 0x0403
    rsa_pkcs1_sha384 = 0x0501
    ecdsa_secp384r1_sha384 = 0x0503
    rsa_pkcs1_sha512 = 0x0601
    ecdsa_secp521r1_sha512 = 0x0603
    rsa_pss_rsae_sha256 = 0x0804
    rsa_pss_rsae_sha384 = 0x0805
    rsa_pss_rsae_sha512 = 0x0806
    ed25519 = 0x0807
    ed448 = 0x0808
    rsa_pss_pss_sha256 = 0x0809
    rsa_pss_pss_sha384 = 0x080A
    rsa_pss_pss_sha512 = 0x080B
    mldsa44 = 0x0904
    mldsa65 = 0x0905
    mldsa87 = 0x0906


class PskKeyExchangeMode(IntEnum):
    """TLS PskKeyExchangeMode (RFC 9846 §4.3.9)."""

    psk_ke = 0
    psk_dhe_ke = 1


class KeyUpdateRequest(IntEnum):
    """KeyUpdateRequest (RFC 9846 §4.7.3)."""

    update_not_requested = 0
    update_requested = 1


class ECPointFormat(IntEnum):
    """TLS EC Point Formats (RFC 8422 §5.1.2)."""

    uncompressed = 0


class ECCurveType(IntEnum):
    """TLS EC Curve Types (RFC 8422 §5.4)."""

    named_curve = 3


class ClientCertificateType(IntEnum):
    """TLS ClientCertificateType Identifiers (RFC 5246 §7.4.4, RFC 8422 §5.5)."""

    rsa_sign = 1
    ecdsa_sign = 64


class NameType(IntEnum):
    """ServerName NameType (RFC 6066 §3)."""

    host_name = 0


class CertificateStatusType(IntEnum):
    """TLS CertificateStatusType (RFC 6066 §8)."""

    ocsp = 1


class CertificateType(IntEnum):
    """TLS Certificate Types."""

    X509 = 0
    RawPublicKey = 2


#: The sixteen reserved values of RFC 8701 §2 for cipher suites, extensions, groups, signature
#: schemes and versions: 0x0A0A, 0x1A1A, … 0xFAFA.
GREASE: tuple[int, ...] = tuple(0x0A0A + 0x1010 * i for i in range(16))


def name_of(registry: type[IntEnum], value: int) -> str:
    """The IANA name of `value`, or its number in hexadecimal where the registry here has none."""
    try:
        return registry(value).name
    except ValueError:
        return f"{registry.__name__}(0x{value:04x})"
