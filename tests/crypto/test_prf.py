"""The PRF of TLS 1.2 against published vectors, and against P_hash as RFC 5246 §5 writes it down."""

from __future__ import annotations

import hmac

import pytest

from tlswrite.crypto.prf import prf

# Published on the IETF's TLS list: "TLS 1.2 Test vectors", https://www.ietf.org/mail-archive/web/tls/current/msg03416.html
PUBLISHED = {
    "sha256": (
        "9bbe436ba940f017b17652849a71db35",
        "a0ba9f936cda311827a6f796ffd5198c",
        "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a"
        "6b301791e90d35c9c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab"
        "4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701"
        "87347b66",
    ),
    "sha384": (
        "b80b733d6ceefcdc71566ea48e5567df",
        "cd665cf6a8447dd6ff8b27555edb7465",
        "7b0c18e9ced410ed1804f2cfa34a336a1c14dffb4900bb5fd7942107e81c83cd"
        "e9ca0faa60be9fe34f82b1233c9146a0e534cb400fed2700884f9dc236f80edd"
        "8bfa961144c9e8d792eca722a7b32fc3d416d473ebc2c5fd4abfdad05d918425"
        "9b5bf8cd4d90fa0d31e2dec479e4f1a26066f2eea9a69236a3e52655c9e9aee6"
        "91c8f3a26854308d5eaa3be85e0990703d73e56f",
    ),
}

LABEL = b"test label"


@pytest.mark.parametrize("hash_name", PUBLISHED)
def test_published_vectors(hash_name: str) -> None:
    secret, seed, output = map(bytes.fromhex, PUBLISHED[hash_name])
    assert prf(hash_name, secret, LABEL, seed, len(output)) == output


@pytest.mark.parametrize("hash_name", PUBLISHED)
def test_a_shorter_output_is_the_beginning_of_a_longer_one(hash_name: str) -> None:
    # RFC 5246 §5: P_hash is iterated as often as needed, and what is too much is discarded.
    secret, seed, output = map(bytes.fromhex, PUBLISHED[hash_name])
    for length in range(len(output)):
        assert prf(hash_name, secret, LABEL, seed, length) == output[:length]


@pytest.mark.parametrize("hash_name", PUBLISHED)
def test_the_words_of_the_rfc(hash_name: str) -> None:
    # RFC 5246 §5: A(0) = seed, A(i) = HMAC_hash(secret, A(i-1)), and HMAC_hash(secret, A(i) + seed) one after
    # the other.
    def a(i: int) -> bytes:
        return b"labelseed" if i == 0 else hmac.digest(b"secret", a(i - 1), hash_name)

    expected = b"".join(hmac.digest(b"secret", a(i) + b"labelseed", hash_name) for i in range(1, 6))
    assert prf(hash_name, b"secret", b"label", b"seed", len(expected)) == expected


def test_label_and_seed_are_one_string() -> None:
    # RFC 5246 §5: PRF(secret, label, seed) = P_<hash>(secret, label + seed).
    assert prf("sha256", b"s", b"label", b"seed", 40) == prf("sha256", b"s", b"labels", b"eed", 40)
    assert prf("sha256", b"s", b"label", b"seed", 40) != prf("sha256", b"s", b"label", b"Seed", 40)
    assert prf("sha256", b"s", b"label", b"seed", 40) != prf("sha384", b"s", b"label", b"seed", 40)
