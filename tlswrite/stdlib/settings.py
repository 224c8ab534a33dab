"""What the attributes of an `ssl.SSLContext` mean as a configuration.

The real context holds the plain settings and checks them, as it always did; here they are read. OpenSSL's options
that are about what does not exist here (SSLv3, compression, finite-field groups, CBC) are taken and mean nothing.
"""

from __future__ import annotations

import _ssl
import ssl
from collections.abc import Callable
from typing import Any, Final

from tlswrite.config import Mode
from tlswrite.errors import ConfigurationError
from tlswrite.iana import ProtocolVersion

__all__ = [
    "MODE",
    "RAW",
    "client_fields",
    "ignores_eof",
    "is_strict",
    "refused_flag",
    "refused_level",
    "refused_maximum",
    "refused_options",
    "server_fields",
    "shared_fields",
    "versions",
]

#: As Python's ssl sets it (SSL_CTX_set_mode(3)): a write is of all that was given, or it is to be repeated. Callers
#: rely on it, and many never look at what `write` returns.
MODE: Final = Mode.AUTO_RETRY | Mode.ACCEPT_MOVING_WRITE_BUFFER

# Of ssl.h; Python names some of them only in newer versions.
OP_IGNORE_UNEXPECTED_EOF: Final = 0x80
_OP_ALLOW_CLIENT_RENEGOTIATION: Final = 0x100
_OP_LEGACY_SERVER_CONNECT: Final = 0x4
_OP_NO_TICKET: Final = 0x4000
_OP_NO_TLSv1_2: Final = 0x08000000
_OP_NO_TLSv1_3: Final = 0x20000000
_OP_ENABLE_MIDDLEBOX_COMPAT: Final = 0x100000
_OP_NO_RENEGOTIATION: Final = 0x40000000

#: Of x509_vfy.h: flags that ask for no check, or for one that is made here anyway. X509_V_FLAG_IGNORE_CRITICAL and
#: X509_V_FLAG_NO_CHECK_TIME, which give one up, are not followed.
_KNOWN_FLAGS: Final = (
    ssl.VERIFY_X509_STRICT
    | ssl.VERIFY_X509_TRUSTED_FIRST
    | getattr(ssl, "VERIFY_X509_PARTIAL_CHAIN", 0x80000)
    | 0x10
    | 0x100000  # X509_V_FLAG_NO_ALT_CHAINS: the first chain that is found or none
    | 0x200000
)

#: Of SSL_CTX_set_security_level(3): 112 bits, RSA keys of 2048 bits, which is what the verifier asks for.
_LEVEL: Final = 2

#: The protocol of a context for TLS 1.2 alone; builds of OpenSSL without it have no name for it.
_PROTOCOL_TLSv1_2: Final = getattr(ssl, "PROTOCOL_TLSv1_2", None)

#: Reads one plain setting of a context as a number: the properties of `ssl` make an enumeration each time.
RAW: Final[dict[str, Callable[[Any], int]]] = {
    name: getattr(_ssl._SSLContext, name).__get__
    for name in (
        "options",
        "verify_mode",
        "verify_flags",
        "check_hostname",
        "minimum_version",
        "maximum_version",
        "post_handshake_auth",
        "num_tickets",
        "protocol",
    )
}


def versions(context: Any) -> tuple[ProtocolVersion, ProtocolVersion]:
    """The lowest and the highest version of a context; raises ConfigurationError where none is left."""
    options = RAW["options"](context)
    lowest, highest = RAW["minimum_version"](context), RAW["maximum_version"](context)
    if RAW["protocol"](context) == _PROTOCOL_TLSv1_2:
        return ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_2
    low = ProtocolVersion.TLS_1_2
    if (
        lowest == ssl.TLSVersion.TLSv1_3
        or lowest == ssl.TLSVersion.MAXIMUM_SUPPORTED
        or options & _OP_NO_TLSv1_2
    ):
        low = ProtocolVersion.TLS_1_3
    high = ProtocolVersion.TLS_1_3
    if highest == ssl.TLSVersion.TLSv1_2 or options & _OP_NO_TLSv1_3:
        high = ProtocolVersion.TLS_1_2
    if low > high:
        raise ConfigurationError(
            "no version is left: minimum_version, maximum_version and options allow none"
        )
    return low, high


def shared_fields(context: Any, mode: Mode) -> dict[str, Any]:
    """Fields of a configuration of either side."""
    low, high = versions(context)
    options = RAW["options"](context)
    return {
        "minimum_version": low,
        "maximum_version": high,
        "mode": mode,
        "verify_mode": ssl.VerifyMode(RAW["verify_mode"](context)),
        "renegotiation": not options & _OP_NO_RENEGOTIATION,
    }


def client_fields(context: Any) -> dict[str, Any]:
    """Those of a client alone."""
    options = RAW["options"](context)
    fields: dict[str, Any] = {
        "check_hostname": bool(RAW["check_hostname"](context)),
        "legacy_server_connect": bool(options & _OP_LEGACY_SERVER_CONNECT),
        "middlebox_compatibility": bool(options & _OP_ENABLE_MIDDLEBOX_COMPAT),
        "post_handshake_auth": bool(RAW["post_handshake_auth"](context)),
    }
    if options & _OP_NO_TICKET:
        fields["session_cache"] = None
    return fields


def server_fields(context: Any) -> dict[str, Any]:
    """Those of a server alone."""
    options = RAW["options"](context)
    fields: dict[str, Any] = {
        "allow_client_renegotiation": bool(options & _OP_ALLOW_CLIENT_RENEGOTIATION),
        # _ssl.c: SSL_VERIFY_POST_HANDSHAKE, so the handshake itself asks for nothing.
        "post_handshake_auth": bool(RAW["post_handshake_auth"](context)),
        "tickets": RAW["num_tickets"](context),
    }
    if options & _OP_NO_TICKET:
        fields["tickets"] = 0
    return fields


def ignores_eof(context: Any) -> bool:
    """Whether an end without close_notify is to be taken for an end (SSLOP_IGNORE_UNEXPECTED_EOF)."""
    return bool(RAW["options"](context) & OP_IGNORE_UNEXPECTED_EOF)


def is_strict(context: Any) -> bool:
    """Whether the certificates of peers are held to RFC 5280 in every point (X509_V_FLAG_X509_STRICT)."""
    return bool(RAW["verify_flags"](context) & ssl.VERIFY_X509_STRICT)


def refused_maximum(version: int) -> str | None:
    """Why a highest version cannot be had here; None where it can."""
    if 0 < version < ssl.TLSVersion.TLSv1_2 or version == ssl.TLSVersion.MINIMUM_SUPPORTED:
        return "versions below TLS 1.2 are not done here (RFC 8996)"
    return None


def refused_options(options: int) -> str | None:
    """Why a set of options cannot be had here; None where it can."""
    if options & _OP_NO_TLSv1_2 and options & _OP_NO_TLSv1_3:
        return "without TLS 1.2 and TLS 1.3 no version is left: older ones are not done here (RFC 8996)"
    return None


def refused_flag(flags: int) -> str | None:
    """Why verification flags cannot be had here; None where they can.

    A check that is asked for must not be left out silently.
    """
    if flags & (ssl.VERIFY_CRL_CHECK_LEAF | ssl.VERIFY_CRL_CHECK_CHAIN):
        return "certificate revocation lists are not looked at (stapled OCSP responses are)"
    if flags & getattr(ssl, "VERIFY_ALLOW_PROXY_CERTS", 0x40):
        return "proxy certificates (RFC 3820) are not accepted"
    if flags & ~_KNOWN_FLAGS:
        return f"the verification flags {flags & ~_KNOWN_FLAGS:#x} (policies, Suite B, …) are not followed"
    return None


def refused_level(level: int) -> str | None:
    """Why a security level of OpenSSL's cannot be had here; None where it can."""
    if level > _LEVEL:
        return f"security level {level} cannot be had: keys and suites are held to level {_LEVEL}"
    return None
