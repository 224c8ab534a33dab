"""Verification of chains: what is accepted, what is refused with which alert, and no third outcome."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from tlswrite import limits
from tlswrite.crypto.selfsigned import Issued, make_certificate
from tlswrite.crypto.trust import TrustAnchors
from tlswrite.crypto.x509 import verify_client, verify_server
from tlswrite.errors import CertificateError, ConfigurationError
from tlswrite.iana import AlertDescription

VECTORS = Path(__file__).parent.parent / "vectors" / "certificates"
LATER = datetime(2060, 1, 1, tzinfo=UTC)

ROOT = make_certificate([], common_name="Root", is_ca=True)
ANCHORS = ROOT.anchors()
MIDDLE = make_certificate([], common_name="Middle", is_ca=True, issuer=ROOT)
LEAF = make_certificate(["a.example", "*.w.example", "127.0.0.1", "2001:db8::1"], issuer=MIDDLE)
UNDERSCORED = make_certificate(["my_service", "*.under_score.example"], issuer=ROOT)

NAME = "a.example"


def vector(name: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((VECTORS / name).read_bytes())


def der(certificates: Iterable[x509.Certificate]) -> list[bytes]:
    return [certificate.public_bytes(Encoding.DER) for certificate in certificates]


def issue(
    *extensions: x509.ExtensionType, critical: bool = False, issuer: Issued | None = ROOT, **fields: Any
) -> Issued:
    fields.setdefault("names", [NAME])
    return make_certificate(
        fields.pop("names"), issuer=issuer, extensions=[(one, critical) for one in extensions], **fields
    )


def refused(
    alert: AlertDescription,
    chain: Sequence[bytes],
    anchors: TrustAnchors = ANCHORS,
    name: str | None = NAME,
    **arguments: Any,
) -> str:
    """The message of a server's chain that is refused with `alert`."""
    with pytest.raises(CertificateError) as caught:
        verify_server(chain, anchors, name, **arguments)
    assert caught.value.alert is alert, caught.value
    return caught.value.message


BAD = AlertDescription.BAD_CERTIFICATE
UNSUPPORTED = AlertDescription.UNSUPPORTED_CERTIFICATE
EXPIRED = AlertDescription.CERTIFICATE_EXPIRED
UNKNOWN = AlertDescription.UNKNOWN_CA


# ---- what is accepted -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [NAME, "A.Example", "a.example.", "x.w.example", "127.0.0.1", "2001:db8::1", "2001:DB8:0::1", None],
)
def test_a_chain_and_its_names(name: str | None) -> None:
    assert verify_server(LEAF.chain, ANCHORS, name) == (
        LEAF.certificate,
        MIDDLE.certificate,
        ROOT.certificate,
    )


def test_an_internationalised_name() -> None:
    leaf = issue(names=["bücher.example"])
    assert verify_server(leaf.chain, ANCHORS, "bücher.example")
    assert verify_server(leaf.chain, ANCHORS, "xn--bcher-kva.example")


def test_names_with_an_underscore() -> None:
    assert verify_server(UNDERSCORED.chain, ANCHORS, "my_service")
    assert verify_server(UNDERSCORED.chain, ANCHORS, "host.under_score.example")
    assert "is not for 'my_other'" in refused(BAD, UNDERSCORED.chain, name="my_other")
    refused(UNKNOWN, UNDERSCORED.chain, make_certificate([], is_ca=True).anchors(), "my_service")


def test_a_client() -> None:
    assert verify_client(LEAF.chain, ANCHORS) == (LEAF.certificate, MIDDLE.certificate, ROOT.certificate)
    # A client is often no more than a common name.
    nameless = make_certificate([], common_name="somebody", issuer=ROOT)
    assert verify_client(nameless.chain, ANCHORS)


def test_extraneous_certificates_in_any_order() -> None:
    # RFC 9846 §4.5.1: SHOULD be prepared to handle potentially extraneous certificates and arbitrary
    # orderings, with the exception of the end-entity certificate which MUST be first.
    stranger = make_certificate(["s.example"])
    second = make_certificate([], common_name="Second", is_ca=True, issuer=MIDDLE)
    leaf = make_certificate([NAME], issuer=second)
    chain = [leaf.der, ROOT.der, stranger.der, MIDDLE.der, LEAF.der, second.der]
    assert len(verify_server(chain, ANCHORS, NAME)) == 4
    with pytest.raises(CertificateError):
        verify_server([MIDDLE.der, leaf.der, second.der], ANCHORS, NAME)


def test_an_intermediate_as_anchor() -> None:
    assert verify_server(LEAF.chain, TrustAnchors((MIDDLE.certificate,)), NAME) == (
        LEAF.certificate,
        MIDDLE.certificate,
    )


def test_the_end_entity_certificate_as_anchor() -> None:
    assert verify_server(LEAF.chain, TrustAnchors((LEAF.certificate,)), NAME) == (LEAF.certificate,)


def test_what_openssl_req_makes() -> None:
    """Self-signed, an authority and a server at once: it is in many a tutorial, and works with `ssl`."""
    certificates = vector("openssl_req_x509.pem")
    anchors = TrustAnchors(certificates)
    assert certificates[0].extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    for name in ("tutorial.example", "127.0.0.1", None):
        assert verify_server(der(certificates), anchors, name, time=LATER)
    assert verify_client(der(certificates), anchors, time=LATER)


@pytest.mark.parametrize("file", ["rsa_pss.pem", "rsa_pss_sha384.pem", "mldsa44.pem"])
def test_unusual_algorithms(file: str) -> None:
    certificates = vector(file)
    assert verify_server(der(certificates), TrustAnchors(certificates), None, time=LATER)


@pytest.mark.parametrize("key_type", ["ecdsa_secp384r1", "ecdsa_secp521r1", "rsa"])
def test_authorities_of_other_algorithms(key_type: str) -> None:
    root = make_certificate([], common_name="Other root", is_ca=True, key_type=key_type)
    leaf = issue(issuer=root, key_type="ed25519")
    assert verify_server(leaf.chain, root.anchors(), NAME)


def _without(*kinds: type[x509.ExtensionType], ca: bool = False) -> Issued:
    """A certificate without some extensions that make_certificate gives."""
    made = make_certificate([] if ca else [NAME], common_name="Bare", is_ca=ca, issuer=None if ca else ROOT)
    builder = x509.CertificateBuilder(
        issuer_name=made.certificate.issuer,
        subject_name=made.certificate.subject,
        public_key=made.private_key.public_key(),
        serial_number=7,
        not_valid_before=made.certificate.not_valid_before_utc,
        not_valid_after=made.certificate.not_valid_after_utc,
    )
    for extension in made.certificate.extensions:
        if not isinstance(extension.value, kinds):
            builder = builder.add_extension(extension.value, extension.critical)
    signer = made.private_key if ca else ROOT.private_key
    return Issued(builder.sign(signer, hashes.SHA256()), made.private_key, made.issuers)


def test_what_older_certificates_lack() -> None:
    bare = _without(
        x509.AuthorityKeyIdentifier, x509.SubjectKeyIdentifier, x509.KeyUsage, x509.BasicConstraints
    )
    assert verify_server(bare.chain, ANCHORS, NAME)
    authority = _without(x509.AuthorityKeyIdentifier, x509.KeyUsage, x509.SubjectKeyIdentifier, ca=True)
    assert verify_server(issue(issuer=authority).chain, authority.anchors(), NAME)
    loose = make_certificate([], is_ca=True, extensions=[(x509.BasicConstraints(True, None), False)])
    assert verify_server(issue(issuer=loose).chain, loose.anchors(), NAME)


# ---- names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["b.example", "example", "w.example", "x.y.w.example", "127.0.0.2", "::1", "a.example.com", "0.0.127"],
)
def test_another_name(name: str) -> None:
    message = refused(BAD, LEAF.chain, name=name)
    assert message == (
        f"the certificate is not for '{name}': it is for a.example, *.w.example, 127.0.0.1, 2001:db8::1"
    )


def test_a_common_name_is_no_name() -> None:
    leaf = issue(names=[], common_name=NAME)
    message = refused(BAD, leaf.chain)
    assert "of 'a.example' has no subjectAltName, and so is not for 'a.example'" in message
    assert verify_server(leaf.chain, ANCHORS, None)


def test_an_address_as_a_dns_name_is_none() -> None:
    leaf = issue(x509.SubjectAlternativeName([x509.DNSName("10.0.0.1")]))
    refused(BAD, leaf.chain, name="10.0.0.1")


def test_a_name_that_cannot_be() -> None:
    with pytest.raises(ConfigurationError, match="neither a host name nor"):
        verify_server(LEAF.chain, ANCHORS, "not a name")


# ---- dates ------------------------------------------------------------------------------------------


def test_expired() -> None:
    leaf = issue(
        not_before=datetime(2020, 1, 1, tzinfo=UTC), not_after=datetime(2021, 2, 3, 4, 5, 6, tzinfo=UTC)
    )
    message = refused(EXPIRED, leaf.chain)
    assert message.startswith("the certificate of 'a.example' expired on 2021-02-03 04:05:06 UTC (it is 20")


def test_not_yet_valid() -> None:
    # RFC 9846 §6.2, certificate_expired: has expired or is not currently valid.
    leaf = issue(not_before=datetime(2100, 1, 1, tzinfo=UTC), not_after=datetime(2101, 1, 1, tzinfo=UTC))
    assert "'a.example' is not valid before 2100-01-01 00:00:00 UTC" in refused(EXPIRED, leaf.chain)


def test_an_expired_issuer_is_named() -> None:
    past = {"not_before": datetime(2020, 1, 1, tzinfo=UTC), "not_after": datetime(2021, 1, 1, tzinfo=UTC)}
    middle = make_certificate([], common_name="Old middle", is_ca=True, issuer=ROOT, **past)
    assert "of 'Old middle' expired on 2021" in refused(EXPIRED, issue(issuer=middle).chain)
    root = make_certificate([], common_name="Old root", is_ca=True, **past)
    assert "of 'Old root' expired on 2021" in refused(EXPIRED, issue(issuer=root).chain, root.anchors())


def test_the_time_of_verification() -> None:
    in_its_time = datetime.now(UTC) + timedelta(days=10)
    assert verify_server(LEAF.chain, ANCHORS, NAME, time=in_its_time)
    assert verify_client(LEAF.chain, ANCHORS, time=in_its_time)
    refused(EXPIRED, LEAF.chain, time=datetime.now(UTC) + timedelta(days=100))
    with pytest.raises(CertificateError, match="expired on"):
        verify_client(LEAF.chain, ANCHORS, time=datetime.now(UTC) + timedelta(days=100))


# ---- issuers ----------------------------------------------------------------------------------------


def test_an_unknown_issuer_is_named() -> None:
    message = refused(UNKNOWN, LEAF.chain, make_certificate([], common_name="Stranger", is_ca=True).anchors())
    assert message == (
        "the issuer 'CN=Root' of the certificate of 'Middle' is neither among the trust anchors "
        "nor in the chain that the peer sent"
    )


def test_a_missing_intermediate_is_named() -> None:
    assert "the issuer 'CN=Middle' of the certificate of 'a.example'" in refused(UNKNOWN, [LEAF.der])


def test_self_signed() -> None:
    leaf = make_certificate([NAME])
    message = refused(UNKNOWN, leaf.chain)
    assert message == "the certificate of 'a.example' is self-signed and not among the trust anchors"


def test_no_anchors_at_all() -> None:
    message = refused(UNKNOWN, LEAF.chain, TrustAnchors(()))
    assert "there are no trust anchors (give a cafile, or install the system's ca-certificates)" in message
    refused(UNKNOWN, UNDERSCORED.chain, TrustAnchors(()), "my_service")
    refused(UNKNOWN, LEAF.chain, TrustAnchors(()), None)
    with pytest.raises(CertificateError, match="no trust anchors"):
        verify_client(LEAF.chain, TrustAnchors(()))


def test_another_authority_of_the_same_name() -> None:
    impostor = make_certificate([], common_name="Root", is_ca=True)
    message = refused(UNKNOWN, LEAF.chain, impostor.anchors())
    assert message == (
        "the certificate of 'Middle' was issued by another 'Root' than the one known here: "
        "same name, different key"
    )


def test_a_signature_that_is_not_the_issuers() -> None:
    leaf = issue(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(ROOT.private_key.public_key()),
        issuer=make_certificate([], common_name="Root", is_ca=True),
    )
    assert "'a.example' does not verify with the key of its issuer 'Root'" in refused(BAD, leaf.chain)


def test_a_certificate_that_is_no_authority() -> None:
    leaf = issue(issuer=make_certificate([NAME], issuer=ROOT))
    assert "cA must be asserted" in refused(UNSUPPORTED, leaf.chain)


def test_an_authority_as_a_servers_certificate() -> None:
    # It would have the key usage of an authority, without digitalSignature.
    root = make_certificate([NAME], is_ca=True)
    assert "its key usage does not allow digital signatures" in refused(
        UNSUPPORTED, root.chain, root.anchors()
    )


@pytest.mark.parametrize("limit", [0, 1])
def test_path_length(limit: int) -> None:
    # RFC 5280 §4.2.1.9.
    root = make_certificate([], common_name="Short", is_ca=True, path_length=limit)
    issuer = root
    for number in range(limit + 1):
        issuer = make_certificate([], common_name=f"Between {number}", is_ca=True, issuer=issuer)
    assert "path length" in refused(UNSUPPORTED, issue(issuer=issuer).chain, root.anchors())


def test_a_long_path() -> None:
    issuer = ROOT
    for number in range(12):
        issuer = make_certificate([], common_name=f"Number {number}", is_ca=True, issuer=issuer)
    refused(UNSUPPORTED, issue(issuer=issuer).chain)


def test_many_certificates_of_one_name_cost_little() -> None:
    """A peer sends fifteen that could each have issued all of the others."""
    crowd = [make_certificate([], common_name="Same", is_ca=True) for _ in range(limits.MAX_CHAIN_LENGTH - 1)]
    leaf = issue(issuer=make_certificate([], common_name="Same", is_ca=True))
    refused(UNKNOWN, [leaf.der, *(one.der for one in crowd)])


def test_certificates_that_issued_each_other() -> None:
    one_key = make_certificate([], common_name="One", is_ca=True)
    two = make_certificate([], common_name="Two", is_ca=True, issuer=one_key)
    one = make_certificate([], common_name="One", is_ca=True, issuer=two, private_key=one_key.private_key)
    leaf = issue(issuer=two)
    refused(UNKNOWN, [leaf.der, two.der, one.der])


# ---- use --------------------------------------------------------------------------------------------

SERVER, CLIENT, ANY = (
    ExtendedKeyUsageOID.SERVER_AUTH,
    ExtendedKeyUsageOID.CLIENT_AUTH,
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
)


@pytest.mark.parametrize(
    ("usage", "server", "client"),
    [
        ([SERVER], True, False),
        ([CLIENT], False, True),
        ([SERVER, CLIENT], True, True),
        ([ANY], False, False),
        ([ExtendedKeyUsageOID.CODE_SIGNING], False, False),
        (None, True, True),
    ],
)
def test_purpose_of_a_leaf(usage: list[Any] | None, server: bool, client: bool) -> None:
    leaf = issue(client=False, server=False) if usage is None else issue(x509.ExtendedKeyUsage(usage))
    for verify, fine in (
        (lambda: verify_server(leaf.chain, ANCHORS, NAME), server),
        (lambda: verify_server(leaf.chain, ANCHORS, None), server),
        (lambda: verify_client(leaf.chain, ANCHORS), client),
    ):
        _succeeds(verify, fine)


@pytest.mark.parametrize(
    ("usage", "server", "client"),
    [([SERVER], True, False), ([CLIENT], False, True), ([ANY], True, True)],
)
def test_purpose_of_an_authority(usage: list[Any], server: bool, client: bool) -> None:
    middle = make_certificate([], is_ca=True, issuer=ROOT, extensions=[(x509.ExtendedKeyUsage(usage), False)])
    leaf = issue(issuer=middle)
    _succeeds(lambda: verify_server(leaf.chain, ANCHORS, NAME), server)
    _succeeds(lambda: verify_server(leaf.chain, ANCHORS, None), server)
    _succeeds(lambda: verify_client(leaf.chain, ANCHORS), client)


def _succeeds(verify: Callable[[], object], fine: bool) -> None:
    if fine:
        verify()
    else:
        with pytest.raises(CertificateError) as caught:
            verify()
        assert caught.value.alert is UNSUPPORTED


def usage(**allowed: bool) -> x509.KeyUsage:
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
        "key_cert_sign crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**{name: allowed.get(name, False) for name in names.split()})


def test_key_usage_of_a_leaf() -> None:
    # RFC 9846 §4.5.1.2: the digitalSignature bit MUST be set if the Key Usage extension is present.
    assert verify_server(issue(usage(digital_signature=True), critical=True).chain, ANCHORS, NAME)
    leaf = issue(usage(key_encipherment=True), critical=True)
    message = refused(UNSUPPORTED, leaf.chain)
    assert message == (
        "the certificate of 'a.example' is not acceptable: its key usage does not allow digital signatures"
    )
    _succeeds(lambda: verify_client(leaf.chain, ANCHORS), False)


def test_key_usage_of_an_authority() -> None:
    middle = make_certificate([], is_ca=True, issuer=ROOT, extensions=[(usage(crl_sign=True), True)])
    assert "does not allow it to sign certificates" in refused(UNSUPPORTED, issue(issuer=middle).chain)


def test_an_unknown_critical_extension() -> None:
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    assert "unaccounted-for critical" in refused(UNSUPPORTED, issue(odd, critical=True).chain)
    assert verify_server(issue(odd).chain, ANCHORS, NAME)


@pytest.mark.parametrize(
    ("permitted", "excluded", "fine"),
    [
        (["example"], None, True),
        (["other"], None, False),
        (None, ["a.example"], False),
        (None, ["b.example"], True),
    ],
)
def test_name_constraints(permitted: list[str] | None, excluded: list[str] | None, fine: bool) -> None:
    constraints = x509.NameConstraints(
        permitted and [x509.DNSName(name) for name in permitted],
        excluded and [x509.DNSName(name) for name in excluded],
    )
    middle = make_certificate([], is_ca=True, issuer=ROOT, extensions=[(constraints, True)])
    leaf = issue(issuer=middle)
    _succeeds(lambda: verify_server(leaf.chain, ANCHORS, NAME), fine)
    _succeeds(lambda: verify_server(leaf.chain, ANCHORS, None), fine)


# ---- strength ---------------------------------------------------------------------------------------


def test_a_weak_key_of_the_leaf() -> None:
    weak = issue(private_key=rsa.generate_private_key(65537, 1024))
    assert "an RSA key of 1024 bits" in refused(UNSUPPORTED, weak.chain)
    _succeeds(lambda: verify_client(weak.chain, ANCHORS), False)


def test_a_weak_key_of_an_authority() -> None:
    weak = make_certificate([], is_ca=True, issuer=ROOT, private_key=rsa.generate_private_key(65537, 1024))
    assert "which has an RSA key of 1024 bits" in refused(UNSUPPORTED, issue(issuer=weak).chain)


@pytest.mark.parametrize(("file", "name"), [("signed_sha1.pem", "SHA-1"), ("signed_md5.pem", "MD5")])
def test_weak_signatures(file: str, name: str) -> None:
    # RFC 9846 §4.5.1.3: MD5 MUST, and SHA-1 is RECOMMENDED to, abort with "bad_certificate".
    leaf, authority = vector(file)
    message = refused(BAD, der([leaf]), TrustAnchors((authority,)), "old.example", time=LATER)
    assert message == (
        f"the certificate of 'old.example' is signed with {name}, which is no longer safe: have it issued anew"
    )


def test_an_authority_of_an_algorithm_that_the_library_does_not_take() -> None:
    root = make_certificate([], common_name="Edwards", is_ca=True, key_type="ed25519")
    message = refused(UNSUPPORTED, issue(issuer=root).chain, root.anchors())
    assert message == (
        "no acceptable path leads from the certificate of 'a.example' to a trust anchor: "
        "Forbidden public key algorithm Ed25519"
    )


# ---- memory -----------------------------------------------------------------------------------------


def test_a_verified_chain_is_remembered_for_its_name_and_side() -> None:
    anchors = ROOT.anchors()
    first = verify_server(LEAF.chain, anchors, NAME)
    assert verify_server(LEAF.chain, anchors, NAME) is first
    assert verify_server(list(LEAF.chain), anchors, NAME) is first
    refused(BAD, LEAF.chain, anchors, "b.example")
    only_server = issue(client=False)
    verify_server(only_server.chain, anchors, None)
    with pytest.raises(CertificateError):
        verify_client(only_server.chain, anchors)
    client = verify_client(LEAF.chain, anchors)
    assert verify_client(LEAF.chain, anchors) is client


def test_a_remembered_chain_expires() -> None:
    anchors = ROOT.anchors()
    verify_server(LEAF.chain, anchors, NAME)
    refused(EXPIRED, LEAF.chain, anchors, time=datetime.now(UTC) + timedelta(days=40))
    verify_client(LEAF.chain, anchors)
    with pytest.raises(CertificateError):
        verify_client(LEAF.chain, anchors, time=datetime.now(UTC) + timedelta(days=40))


def test_a_failure_is_not_remembered_and_neither_is_a_giant() -> None:
    anchors = ROOT.anchors()
    refused(BAD, LEAF.chain, anchors, "b.example")
    bulk = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x04\x82\x50\x00" + bytes(0x5000))
    giant = issue(bulk)
    verify_server(giant.chain, anchors, NAME)
    assert not anchors._verified


# ---- fuzz -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", [0, 1], ids=["leaf", "intermediate"])
def test_a_flip_at_every_offset_is_refused(position: int) -> None:
    """No altered certificate that counts is accepted, and none raises anything but CertificateError."""
    noise = random.Random(position)
    anchors = ROOT.anchors()
    alerts = set()
    for offset in range(len(LEAF.chain[position])):
        altered = bytearray(LEAF.chain[position])
        altered[offset] ^= 1 << noise.randrange(8)
        chain = list(LEAF.chain)
        chain[position] = bytes(altered)
        with pytest.raises(CertificateError) as caught:
            verify_server(chain, anchors, NAME)
        assert caught.value.message
        alerts.add(caught.value.alert)
        with pytest.raises(CertificateError):
            verify_client(chain, anchors)
    assert BAD in alerts


def test_a_flip_at_every_offset_of_an_anchor_sent_along() -> None:
    """The chain holds without it: accepted where it can be read, for what it is worth."""
    anchors = ROOT.anchors()
    outcomes = set()
    for offset in range(len(ROOT.der)):
        altered = bytearray(ROOT.der)
        altered[offset] ^= 0x10
        try:
            path = verify_server([*LEAF.chain, bytes(altered)], anchors, NAME)
        except CertificateError:
            outcomes.add("refused")
        else:
            assert path == (LEAF.certificate, MIDDLE.certificate, ROOT.certificate)
            outcomes.add("accepted")
    assert outcomes == {"refused", "accepted"}


def test_a_flip_at_every_offset_of_a_trusted_leaf_is_refused() -> None:
    leaf = make_certificate([NAME])
    anchors = leaf.anchors()
    for offset in range(len(leaf.der)):
        altered = bytearray(leaf.der)
        altered[offset] ^= 0x04
        with pytest.raises(CertificateError):
            verify_server([bytes(altered)], anchors, NAME)


def test_no_chain() -> None:
    with pytest.raises(CertificateError, match="without a certificate"):
        verify_server([], ANCHORS, NAME)
    with pytest.raises(CertificateError, match="at most 16"):
        verify_client([LEAF.der] * 17, ANCHORS)
