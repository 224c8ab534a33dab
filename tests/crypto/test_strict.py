"""VERIFY_X509_STRICT: what OpenSSL refuses then is refused here too."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.chains import Cert, authority, issue, leaf, root
from tests.support.contexts import objects
from tlswrite.crypto.strict import check_strict
from tlswrite.crypto.trust import TrustAnchors
from tlswrite.crypto.x509 import verify_server
from tlswrite.errors import CertificateError

NAME = "a.example"
ROOT = root()

#: Extensions that chains.py makes of settings, made here to leave one out or to mark it.
_OWN = x509.SubjectKeyIdentifier(bytes(20))
_ISSUER = x509.AuthorityKeyIdentifier(bytes(20), None, None)
_SERIAL = x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(ROOT.certificate.subject)], 1)


def bare(by: Cert, *extra: tuple[x509.ExtensionType, bool], **fields: Any) -> Cert:
    """A leaf whose key identifiers are `extra` alone."""
    return leaf(by, key_identifiers=False, extra=extra, **fields)


def through(middle: Cert, anchor: Cert = ROOT) -> list[Cert]:
    return [leaf(middle), middle, anchor]


_LAX = root("lax", constraints_critical=False)
_USELESS = root("useless", usage=None)
_UNKNOWN = root("unknown", key_identifiers=False)
_SUBJECTLESS = root("")

#: What is wrong: the path, its anchor last, and what is said of it.
PATHS: dict[str, tuple[list[Cert], str]] = {
    "no identifier of the issuer": ([bare(ROOT, (_OWN, False)), ROOT], "no authority key identifier"),
    "the issuer by its serial number": ([bare(ROOT, (_SERIAL, False)), ROOT], "no authority key identifier"),
    "a critical identifier of the issuer": (
        [bare(ROOT, (_ISSUER, True)), ROOT],
        "critical authority key identifier",
    ),
    "a critical identifier of its own": (
        [bare(ROOT, (_OWN, True), (_ISSUER, False)), ROOT],
        "critical subject key identifier",
    ),
    "an authority in the middle without identifiers": (
        through(authority("middle", ROOT, key_identifiers=False)),
        "no authority key identifier",
    ),
    "an authority without an identifier": ([leaf(_UNKNOWN), _UNKNOWN], "no subject key identifier"),
    "an authority without key usage": ([leaf(_USELESS), _USELESS], "no key usage"),
    "an authority that may not sign and limits paths": (
        through(authority("middle", ROOT, usage=("crl_sign",), path_length=0)),
        "no keyCertSign",
    ),
    "constraints that are not critical": ([leaf(_LAX), _LAX], "constraints are not critical"),
    "a server that may sign certificates": (
        [leaf(ROOT, ca=False, usage=("digital_signature", "key_cert_sign")), ROOT],
        "has keyCertSign",
    ),
    "an issuer without a name": ([leaf(_SUBJECTLESS), _SUBJECTLESS], "does not name its issuer"),
    "an authority in the middle without a name": (through(authority("", ROOT)), "issuer|subject"),
    "no subject, and names that are not critical": ([leaf(ROOT, subject=""), ROOT], "not critical"),
    "no subject of a signer of lists": (
        [leaf(ROOT, subject="", san_critical=True, usage=("digital_signature", "crl_sign")), ROOT],
        "does not name its subject",
    ),
    "no subject and no names": (
        [issue("", ROOT, usage=("digital_signature",)), ROOT],
        "does not name its subject",
    ),
}

#: What is right.
GOOD: dict[str, list[Cert]] = {
    "an anchor issued it": [leaf(ROOT), ROOT],
    "one in the middle": through(authority("middle", ROOT, path_length=0)),
    "no subject, and critical names": [leaf(ROOT, subject="", san_critical=True), ROOT],
    "no key usage": [leaf(ROOT, usage=None), ROOT],
}


def certificates(path: list[Cert]) -> tuple[x509.Certificate, ...]:
    return tuple(each.certificate for each in path)


def openssl(path: list[Cert], directory: Path) -> None:
    """A handshake in which the standard library verifies the path strictly."""
    chain = directory / "chain.pem"
    key = path[0].key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain.write_bytes(b"".join(each.pem for each in path[:-1]) + key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(cadata=path[-1].pem.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    objects(client, server, host=NAME).handshake()


@pytest.mark.parametrize("what", PATHS)
def test_what_openssl_refuses_is_refused(what: str, tmp_path: Path) -> None:
    path, words = PATHS[what]
    with pytest.raises(ssl.SSLError):
        openssl(path, tmp_path)
    with pytest.raises(CertificateError, match=words):
        check_strict(certificates(path))
    anchors = TrustAnchors([path[-1].certificate]).strictly
    with pytest.raises(CertificateError):
        verify_server([each.der for each in path[:-1]], anchors, NAME)


@pytest.mark.parametrize("what", GOOD)
def test_what_is_made_by_the_rules_is_taken(what: str, tmp_path: Path) -> None:
    path = GOOD[what]
    openssl(path, tmp_path)
    anchors = TrustAnchors([path[-1].certificate]).strictly
    assert verify_server([each.der for each in path[:-1]], anchors, NAME) == certificates(path)


def test_an_anchor_that_is_the_server_itself_is_taken(tmp_path: Path) -> None:
    own = leaf(None, key_identifiers=False)
    check_strict((own.certificate,))
    path = verify_server([own.der], TrustAnchors([own.certificate]).strictly, NAME)
    assert path == (own.certificate,)


def test_without_strictness_identifiers_may_be_missing() -> None:
    path = PATHS["no identifier of the issuer"][0]
    assert verify_server([path[0].der], TrustAnchors([ROOT.certificate]), NAME) == certificates(path)
