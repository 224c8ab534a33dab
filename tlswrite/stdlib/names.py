"""OpenSSL's names of suites, groups and signature schemes, and what of them is done here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from tlswrite.crypto.groups import DEFAULT_GROUPS
from tlswrite.crypto.suites import DEFAULT_SUITES, SUITES, TLS13_SUITES
from tlswrite.errors import ConfigurationError
from tlswrite.iana import CipherSuite, NamedGroup, ProtocolVersion, SignatureScheme

__all__ = ["group_named", "groups_in", "schemes_in", "suite_of", "suites_among", "tls13_suites_in"]

#: Other names that OpenSSL has for a group, in lower case.
_GROUP_ALIASES: Final = {
    "prime256v1": NamedGroup.secp256r1,
    "p-256": NamedGroup.secp256r1,
    "p-384": NamedGroup.secp384r1,
    "p-521": NamedGroup.secp521r1,
}
_GROUPS: Final[Mapping[str, NamedGroup]] = {
    **{group.name.lower(): group for group in DEFAULT_GROUPS},
    **_GROUP_ALIASES,
}


def group_named(name: str) -> NamedGroup:
    """A group by one of its names (SSL_CTX_set1_groups_list(3)); raises ValueError."""
    group = _GROUPS.get(name.lower())
    if group is None:
        known = ", ".join(group.name for group in DEFAULT_GROUPS)
        raise ValueError(f"unknown elliptic curve name {name!r}: there are {known}")
    return group


def groups_in(names: str) -> tuple[NamedGroup, ...]:
    """A list of groups with colons between, best first; one behind a `?` may be unknown. Raises ValueError."""
    groups: dict[NamedGroup, None] = {}
    for name in filter(None, names.replace("/", ":").split(":")):
        bare = name.lstrip("*")
        if bare.startswith("?"):
            if (found := _GROUPS.get(bare[1:].lower())) is not None:
                groups[found] = None
        else:
            groups[group_named(bare)] = None
    if not groups:
        raise ValueError(f"no group in {names!r}")
    return tuple(groups)


def suite_of(cipher: Mapping[str, Any]) -> CipherSuite | None:
    """The suite that an entry of `SSLContext.get_ciphers` is about, None for one that is not done here."""
    number = cipher["id"] & 0xFFFF
    return CipherSuite(number) if number in SUITES else None


def suites_among(ciphers: Iterable[Mapping[str, Any]]) -> tuple[CipherSuite, ...]:
    """The suites of TLS 1.2 in a list of `get_ciphers`, in its order, behind those of TLS 1.3.

    `set_ciphers` is about TLS 1.2 alone (SSL_CTX_set_cipher_list(3)). Raises ConfigurationError where none is left.
    """
    found = (suite_of(cipher) for cipher in ciphers)
    chosen = tuple(suite for suite in found if suite is not None and suite not in TLS13_SUITES)
    if not chosen:
        known = ":".join(
            SUITES[suite].openssl_name
            for suite in DEFAULT_SUITES
            if SUITES[suite].version == ProtocolVersion.TLS_1_2
        )
        raise ConfigurationError(f"No cipher can be selected: of TLS 1.2 there are {known}")
    return chosen


def tls13_suites_in(names: str) -> tuple[CipherSuite, ...]:
    """A list for `set_ciphersuites`, with colons between; raises ConfigurationError."""
    known = {suite.name: suite for suite in TLS13_SUITES}
    unknown = [name for name in names.split(":") if name not in known]
    if unknown:
        raise ConfigurationError(f"No cipher can be selected: {unknown[0]!r} is none of {':'.join(known)}")
    return tuple(dict.fromkeys(known[name] for name in names.split(":")))


def schemes_in(names: str, supported: Iterable[SignatureScheme]) -> tuple[SignatureScheme, ...]:
    """Signature schemes by their IANA names, with colons between, best first; raises ValueError."""
    known = {scheme.name.lower(): scheme for scheme in supported}
    schemes: dict[SignatureScheme, None] = {}
    for name in filter(None, names.split(":")):
        optional, bare = name.startswith("?"), name.lstrip("?").lower()
        if bare in known:
            schemes[known[bare]] = None
        elif not optional:
            raise ValueError(f"unknown signature algorithm {name!r}: there are {', '.join(known)}")
    if not schemes:
        raise ValueError(f"no signature algorithm in {names!r}")
    return tuple(schemes)
