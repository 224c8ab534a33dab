"""OpenSSL's names."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from tlswrite.config import DEFAULT_SCHEMES
from tlswrite.iana import CipherSuite, NamedGroup, SignatureScheme
from tlswrite.stdlib.names import (
    group_named,
    groups_in,
    schemes_in,
    suite_of,
    suites_among,
    tls13_suites_in,
)


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("prime256v1", NamedGroup.secp256r1),
        ("P-256", NamedGroup.secp256r1),
        ("secp256r1", NamedGroup.secp256r1),
        ("P-384", NamedGroup.secp384r1),
        ("secp521r1", NamedGroup.secp521r1),
        ("X25519", NamedGroup.x25519),
        ("X25519MLKEM768", NamedGroup.X25519MLKEM768),
    ],
)
def test_a_group_has_several_names(name: str, group: NamedGroup) -> None:
    assert group_named(name) == group_named(name.swapcase()) == group


@pytest.mark.parametrize("name", ["", "secp256k1", "ffdhe2048", "X25519:P-256"])
def test_an_unknown_group_is_a_value_error(name: str) -> None:
    with pytest.raises(ValueError, match="unknown elliptic curve name"):
        group_named(name)


def test_lists_of_groups() -> None:
    assert groups_in("X25519:P-256:x25519") == (NamedGroup.x25519, NamedGroup.secp256r1)
    assert groups_in("?ffdhe2048/*X25519:?P-256") == (NamedGroup.x25519, NamedGroup.secp256r1)
    for wrong in ("", ":", "?ffdhe2048", "X25519:ffdhe2048"):
        with pytest.raises(ValueError):
            groups_in(wrong)


def test_lists_of_signature_schemes() -> None:
    both = (SignatureScheme.ed25519, SignatureScheme.rsa_pss_rsae_sha256)
    assert schemes_in("ed25519:RSA_PSS_RSAE_SHA256:?mystery", DEFAULT_SCHEMES) == both
    for wrong in ("", "mystery", "?mystery", "rsa_pkcs1_sha1"):
        with pytest.raises(ValueError):
            schemes_in(wrong, DEFAULT_SCHEMES)


def test_suites_of_openssls_lists() -> None:
    context: Any = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ECDHE-RSA-AES256-GCM-SHA384:AES128-SHA:ECDHE-ECDSA-AES128-GCM-SHA256")
    assert suites_among(context.get_ciphers()) == (
        CipherSuite.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    )
    assert suite_of({"id": 0x0300002F}) is None
    with pytest.raises(ssl.SSLError, match="No cipher can be selected"):
        suites_among([{"id": 0x0300002F}, {"id": 0x03001301}])


def test_suites_of_tls13_by_name() -> None:
    chosen = (CipherSuite.TLS_CHACHA20_POLY1305_SHA256, CipherSuite.TLS_AES_128_GCM_SHA256)
    assert tls13_suites_in("TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256") == chosen
    for wrong in ("", "TLS_AES_128_CCM_SHA256", "ECDHE-RSA-AES256-GCM-SHA384"):
        with pytest.raises(ssl.SSLError):
            tls13_suites_in(wrong)
