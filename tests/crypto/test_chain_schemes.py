"""Which schemes a chain is signed with."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.support import pki
from tlswrite.crypto.chain_schemes import LEGACY_SCHEMES, chain_schemes
from tlswrite.iana import SignatureScheme

VECTORS = Path(__file__).parents[1] / "vectors" / "certificates"

EXPECTED = {
    "ecdsa_secp256r1": SignatureScheme.ecdsa_secp256r1_sha256,
    "ecdsa_secp384r1": SignatureScheme.ecdsa_secp256r1_sha256,  # with SHA-256 all the same
    "rsa": SignatureScheme.rsa_pkcs1_sha256,
    "ed25519": SignatureScheme.ed25519,
    "ed448": SignatureScheme.ed448,
    "mldsa44": SignatureScheme.mldsa44,
    "mldsa65": SignatureScheme.mldsa65,
    "mldsa87": SignatureScheme.mldsa87,
}


def from_file(name: str) -> tuple[bytes, ...]:
    pem = (VECTORS / name).read_bytes()
    return tuple(each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(pem))


@pytest.mark.parametrize("key_type", [key_type for key_type in pki.key_types() if key_type in EXPECTED])
def test_the_issuers_key_tells(key_type: str) -> None:
    made = pki.issue(issuer=pki.authority(f"authority with {key_type}", key_type))
    assert chain_schemes(tuple(made.chain_der)) == {EXPECTED[key_type]}


def test_every_certificate_of_a_chain_counts_and_self_signed_ones_do_not() -> None:
    # RFC 9846 §4.3.3: signatures on certificates that are self-signed are not validated.
    assert chain_schemes((pki.authority().certificate_der,)) == frozenset()
    chain = pki.through_intermediate().chain_der
    assert len(chain) == 2
    assert chain_schemes((*chain, pki.authority().certificate_der)) == {
        SignatureScheme.ecdsa_secp256r1_sha256
    }


def test_sha_1_is_told() -> None:
    assert chain_schemes(from_file("signed_sha1.pem")) <= LEGACY_SCHEMES
    assert chain_schemes(from_file("signed_sha1.pem"))


@pytest.mark.parametrize(
    ("digest", "scheme"),
    [
        (hashes.SHA256(), SignatureScheme.rsa_pss_rsae_sha256),
        (hashes.SHA384(), SignatureScheme.rsa_pss_rsae_sha384),
        (hashes.SHA512(), SignatureScheme.rsa_pss_rsae_sha512),
        (hashes.SHA224(), None),
    ],
)
def test_rsassa_pss_is_told_by_its_hash(digest: hashes.HashAlgorithm, scheme: SignatureScheme | None) -> None:
    key = rsa.generate_private_key(65537, 2048)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(pki.NOW)
        .not_valid_after(pki.NOW + pki.DAY)
        .sign(key, digest, rsa_padding=padding.PSS(padding.MGF1(digest), digest.digest_size))
    )
    expected = frozenset() if scheme is None else {scheme}
    assert chain_schemes((certificate.public_bytes(Encoding.DER),)) == expected


def test_what_has_no_code_point_is_left_out() -> None:
    assert chain_schemes(from_file("signed_md5.pem")) == frozenset()
