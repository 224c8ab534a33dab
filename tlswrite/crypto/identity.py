"""Whom a client means to reach: a DNS name or an IP address (RFC 9525 §6, RFC 6066 §3)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, TypeAlias

from tlswrite.errors import ConfigurationError

__all__ = ["Identity", "identity_of", "matches", "sni_name"]

#: A DNS name in lower-case A-labels without a final dot, or an address.
Identity: TypeAlias = str | ipaddress.IPv4Address | ipaddress.IPv6Address


@lru_cache(maxsize=256)
def identity_of(server_hostname: str) -> Identity:
    """What `server_hostname` names; ConfigurationError where it is neither a host name nor an address.

    A scope ("fe80::1%eth0") says which way an address is reached, not what it is: it is left out. A
    name with other than ASCII letters is taken in A-labels (IDNA 2003, as `ssl` takes it).
    """
    try:
        return ipaddress.ip_address(server_hostname.partition("%")[0])
    except ValueError:
        pass
    try:
        name = server_hostname.removesuffix(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        name = ""
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"server_hostname {server_hostname!r} is neither a host name nor an IP address"
        )
    return name


def sni_name(server_hostname: str | None) -> str | None:
    """What the server_name extension says of it: a name in A-labels, None for an address or for None."""
    if server_hostname is None:
        return None
    identity = identity_of(server_hostname)
    # RFC 6066 §3: literal IPv4 and IPv6 addresses are not permitted in "HostName".
    return identity if isinstance(identity, str) else None


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a DNS name in lower-case A-labels is one of `patterns` (RFC 9525 §6.3).

    A pattern may have `*` as its whole first label, which stands for exactly one label.
    """
    _, _, parent = name.partition(".")
    wildcard = "*." + parent if parent else None
    return any((low := pattern.lower()) == name or low == wildcard for pattern in patterns)


# An underscore is no part of a host name (RFC 952), and yet many a private network has it in one.
_LABEL: Final = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
