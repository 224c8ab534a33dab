"""The words for chains that do not verify (test_x509.py has the common ones)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from tlswrite.crypto.explain import NO_PATH, explain_chain, explain_name
from tlswrite.crypto.selfsigned import Issued, make_certificate
from tlswrite.iana import AlertDescription

NOW = datetime.now(UTC)
ROOT = make_certificate([], common_name="Root", is_ca=True)


def test_many_names_are_not_all_shown() -> None:
    leaf = make_certificate([f"{number}.example" for number in range(30)])
    message = explain_name(leaf.certificate, "a.example").message
    assert message == (
        "the certificate is not for 'a.example': it is for "
        + ", ".join(f"{number}.example" for number in range(8))
        + " and 22 more"
    )


def test_hostile_names_do_not_reach_the_terminal() -> None:
    """Subject and names are the peer's words: no control characters, and not much of them."""
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "\x1b[2J\r\n" + "A" * 200)])
    key = ROOT.private_key
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, datetime(2020, 1, 1), datetime(2090, 1, 1))
        .add_extension(x509.BasicConstraints(False, None), True)
        .sign(key, hashes.SHA256())
    )
    for anchors in (ROOT.anchors(), make_certificate([], is_ca=True).anchors()):
        message = explain_chain([certificate], anchors, NOW, NO_PATH).message
        assert message.isprintable() and len(message) < 400
    assert explain_name(certificate, "a.example").message.isprintable()


def test_the_first_question_is_the_date() -> None:
    old = make_certificate(
        ["a.example"],
        not_before=datetime(2020, 1, 1, tzinfo=UTC),
        not_after=datetime(2021, 1, 1, tzinfo=UTC),
    )
    error = explain_chain([old.certificate], ROOT.anchors(), NOW, NO_PATH)
    assert error.alert is AlertDescription.CERTIFICATE_EXPIRED


def _bare(issued: Issued, *kinds: type[x509.ExtensionType]) -> x509.Certificate:
    """The same signed again by Root, without some extensions."""
    certificate = issued.certificate
    builder = x509.CertificateBuilder(
        certificate.issuer,
        certificate.subject,
        certificate.public_key(),
        certificate.serial_number,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )
    for extension in certificate.extensions:
        if not isinstance(extension.value, kinds):
            builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(ROOT.private_key, hashes.SHA256())


@pytest.mark.parametrize("kind", [x509.AuthorityKeyIdentifier, x509.SubjectKeyIdentifier])
def test_without_key_identifiers_a_wrong_signature_is_no_more_than_that(
    kind: type[x509.ExtensionType],
) -> None:
    leaf = make_certificate(["a.example"], issuer=ROOT)
    impostor = make_certificate([], common_name="Root", is_ca=True)
    anchors = impostor.anchors()
    if kind is x509.AuthorityKeyIdentifier:
        chain = [_bare(leaf, kind)]
    else:
        chain = [leaf.certificate]
        anchors = type(anchors)((_bare(impostor, kind),))
    error = explain_chain(chain, anchors, NOW, NO_PATH)
    assert error.alert is AlertDescription.BAD_CERTIFICATE
    assert error.message == (
        "the signature of the certificate of 'a.example' does not verify with the key of its issuer 'Root'"
    )


def test_the_verifiers_own_words_where_nothing_else_is_known() -> None:
    leaf = make_certificate(["a.example"], issuer=ROOT)
    reason = "validation failed: candidates exhausted: something new (encountered processing <Certificate>)"
    error = explain_chain([leaf.certificate], ROOT.anchors(), NOW, reason)
    assert error.alert is AlertDescription.UNSUPPORTED_CERTIFICATE
    assert error.message == (
        "no acceptable path leads from the certificate of 'a.example' to a trust anchor: something new"
    )
