"""OCSP responses: which are good, whose word counts, and what is said of all others."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp as library

from tests.support.ocsp import (
    BY_NAME,
    DAY,
    NOW,
    REVOKED,
    cases,
    delegate,
    leaf,
    leaf_credentials,
    namesake,
    respond,
    root,
    trust,
    unsuccessful,
)
from tlswrite import limits
from tlswrite.crypto.credentials import load_credentials
from tlswrite.crypto.ocsp import check_response, check_status, staple
from tlswrite.crypto.selfsigned import Issued, make_certificate
from tlswrite.crypto.trust import VerifiedChain
from tlswrite.crypto.x509 import verify_server
from tlswrite.errors import BadCertificateStatusResponse, CertificateError, ConfigurationError
from tlswrite.iana import AlertDescription

VECTORS = Path(__file__).parent.parent / "vectors" / "ocsp"


def path(made: Issued | None = None) -> VerifiedChain:
    return verify_server((made or leaf()).chain, trust(), None)


def check(
    response: bytes | None, *, asked: bool = True, required: bool = False, **options: bool
) -> bytes | None:
    made = leaf(**options)
    return check_status(path(made), made.chain, response, asked=asked, required=required)


# ---- a peer's ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", cases())
def test_every_quality(name: str) -> None:
    case = cases()[name]
    if case.error is None:
        assert check(case.response) == case.response
        return
    with pytest.raises(case.error) as caught:
        check(case.response)
    assert case.words in caught.value.message
    assert caught.value.alert == case.alert


@pytest.mark.parametrize("key_type", ["ecdsa_secp384r1", "ecdsa_secp521r1", "rsa", "ed25519", "ed448"])
def test_keys_of_responders(key_type: str) -> None:
    response = respond(signer=delegate(key_type=key_type), signature_hash=hashes.SHA512())
    assert check(response) == response
    signature = library.load_der_ocsp_response(response).signature
    at = response.index(signature) + len(signature) // 2
    with pytest.raises(BadCertificateStatusResponse, match="did not sign it"):
        check(response[:at] + bytes((response[at] ^ 1,)) + response[at + 1 :])


def test_an_issuer_with_an_rsa_key() -> None:
    issuer = make_certificate([], is_ca=True, key_type="rsa")
    made = make_certificate(["a.example"], issuer=issuer)
    response = respond(about=made, issuer=issuer, signer=issuer, certificates=[])
    chain = verify_server(made.chain, issuer.anchors(), "a.example")
    assert check_status(chain, made.chain, response, asked=True, required=True) == response


def test_an_intermediate_answers_for_what_it_issued_and_nobody_else() -> None:
    between = make_certificate([], common_name="between", is_ca=True, issuer=root())
    made = make_certificate(["a.example"], issuer=between)
    chain = verify_server(made.chain, trust(), "a.example")
    for signer in (between, delegate(issuer=between)):
        good = respond(about=made, issuer=between, signer=signer)
        assert check_status(chain, made.chain, good, asked=True, required=False) == good
    # The authority above is none of those who may.
    for signer in (root(), delegate()):
        bad = respond(about=made, issuer=between, signer=signer, certificates=[signer])
        with pytest.raises(BadCertificateStatusResponse, match="no certificate of the issuer"):
            check_status(chain, made.chain, bad, asked=True, required=False)


@pytest.mark.parametrize("encoding", [None, BY_NAME])
def test_a_certificate_that_is_itself_trusted(encoding: library.OCSPResponderEncoding | None) -> None:
    made = leaf()
    alone = (made.certificate,)
    response = respond() if encoding is None else respond(encoding=encoding)
    # Whoever signed it is its issuer, if only there is a certificate of him.
    sent = (*made.chain, root().der)
    assert check_status(alone, sent, response, asked=True, required=False) == response
    for others in (made.chain, (*made.chain, namesake().der)):
        with pytest.raises(BadCertificateStatusResponse, match="whose issuer is not known here"):
            check_status(alone, others, response, asked=True, required=False)
    with pytest.raises(CertificateError, match="a certificate that cannot be read"):
        check_status(alone, (*made.chain, b"?"), response, asked=True, required=False)


def test_a_self_signed_certificate_answers_for_itself() -> None:
    made = make_certificate(["a.example"])
    response = respond(about=made, issuer=made, signer=made, certificates=[])
    chain = verify_server(made.chain, made.anchors(), "a.example")
    assert len(chain) == 1
    assert check_status(chain, made.chain, response, asked=True, required=False) == response


def test_the_same_response_is_kept_once() -> None:
    response = respond()
    assert check(bytes(bytearray(response))) is check(bytes(bytearray(response)))


@pytest.mark.parametrize("at", [0.0, 0.25, 0.5, 0.75])
@pytest.mark.parametrize("signed_by", ["issuer", "delegate"])
def test_one_byte_corruption(at: float, signed_by: str) -> None:
    """Every offset, a quarter each: no change of what is signed is accepted, and no other error comes of any."""
    response = respond() if signed_by == "issuer" else respond(signer=delegate())
    signed = library.load_der_ocsp_response(response).tbs_response_bytes
    start = response.index(signed)
    size = len(response)
    for offset in range(int(at * size), int((at + 0.25) * size)):
        for flip in (1, 0x80):
            changed = response[:offset] + bytes((response[offset] ^ flip,)) + response[offset + 1 :]
            try:
                check(changed)
            except (BadCertificateStatusResponse, CertificateError):
                continue
            assert not start <= offset < start + len(signed), offset


@pytest.mark.parametrize("next_update", [NOW + DAY, None])
def test_the_time_of_a_response_and_the_skew_of_clocks(next_update: datetime | None) -> None:
    response = respond(this_update=NOW, next_update=next_update)
    end = next_update or NOW + timedelta(seconds=limits.OCSP_LIFETIME)
    skew, second = timedelta(seconds=limits.OCSP_SKEW), timedelta(seconds=1)

    def at(time: datetime) -> None:
        check_response(response, leaf().certificate, [root().certificate], time)

    for time in (NOW - skew, NOW, end, end + skew):
        at(time)
    for time, words in ((NOW - skew - second, "is not valid before"), (end + skew + second, "expired on")):
        with pytest.raises(BadCertificateStatusResponse, match=words):
            at(time)


def test_a_delegate_is_good_within_its_own_dates() -> None:
    signer = delegate(days=(-1, 1))
    response = respond(signer=signer, this_update=NOW - 9 * DAY, next_update=NOW + 9 * DAY)

    def at(time: datetime) -> None:
        check_response(response, leaf().certificate, [root().certificate], time)

    for time in (NOW - DAY, NOW + DAY):
        at(time)
    for time in (NOW - DAY - timedelta(seconds=1), NOW + DAY + timedelta(seconds=1)):
        with pytest.raises(BadCertificateStatusResponse, match="a certificate that is not valid now"):
            at(time)


# ---- absent -----------------------------------------------------------------------------------------


def test_no_response() -> None:
    assert check(None) is None
    assert check(None, asked=False) is None
    with pytest.raises(CertificateError, match="without its OCSP status, which is required here") as caught:
        check(None, required=True)
    assert caught.value.alert == AlertDescription.BAD_CERTIFICATE


def test_no_response_for_a_certificate_that_must_have_one() -> None:
    # RFC 7633: only where the feature was asked for.
    with pytest.raises(CertificateError, match=r"which it says it must have \(RFC 7633\)"):
        check(None, must_staple=True)
    assert check(None, must_staple=True, asked=False) is None
    good = respond(about=leaf(must_staple=True))
    assert check(good, must_staple=True, required=True) == good


def test_another_feature_is_no_reason() -> None:
    feature = x509.TLSFeature([x509.TLSFeatureType.status_request_v2])
    made = make_certificate(["a.example"], issuer=root(), extensions=[(feature, False)])
    assert check_status(path(made), made.chain, None, asked=True, required=False) is None


# ---- responses that OpenSSL made (vectors/ocsp/make.sh) ------------------------------------------------


def judge(response: bytes, file: str) -> None:
    made, issuer = (
        x509.load_pem_x509_certificate((VECTORS / name).read_bytes()) for name in (file, "root.pem")
    )
    check_response(response, made, [issuer], datetime(2027, 1, 1, tzinfo=UTC))


def test_rsassa_pss() -> None:
    response = (VECTORS / "pss.der").read_bytes()
    judge(response, "good.pem")
    with pytest.raises(BadCertificateStatusResponse, match="did not sign it"):
        judge(response[:-1] + bytes((response[-1] ^ 1,)), "good.pem")


def test_a_responder_with_a_key_for_rsassa_pss() -> None:
    judge((VECTORS / "pss_key.der").read_bytes(), "good.pem")


def test_sha1() -> None:
    with pytest.raises(
        BadCertificateStatusResponse, match="signed with sha1WithRSAEncryption, which is not safe"
    ):
        judge((VECTORS / "sha1.der").read_bytes(), "good.pem")
    # By a responder whose own certificate is signed so.
    with pytest.raises(
        BadCertificateStatusResponse, match=r"'responder\.example' has no certificate of the issuer"
    ):
        judge((VECTORS / "delegated.der").read_bytes(), "good.pem")


def test_another_kind_of_key_than_the_signatures() -> None:
    # A responder of the same name: with an RSA key, where the signature is by ECDSA, and the other way round.
    for key_type, other in (("rsa", "ecdsa_secp256r1"), ("ecdsa_secp256r1", "rsa"), ("ed25519", "rsa")):
        brought = [delegate(key_type=other)]
        response = respond(signer=delegate(key_type=key_type), encoding=BY_NAME, certificates=brought)
        with pytest.raises(BadCertificateStatusResponse, match="'OCSP test responder' did not sign it"):
            check(response)


def test_answers_about_several_certificates() -> None:
    response = (VECTORS / "many.der").read_bytes()
    judge(response, "good.pem")
    with pytest.raises(CertificateError, match="was revoked on 2024-01-02 03:04:05 UTC"):
        judge(response, "revoked.pem")


def test_too_many_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_OCSP_ANSWERS", 2)
    with pytest.raises(BadCertificateStatusResponse, match="more than 2 answers"):
        judge((VECTORS / "many.der").read_bytes(), "good.pem")


# ---- one's own --------------------------------------------------------------------------------------


def test_credentials_with_a_response() -> None:
    response = respond()
    assert leaf_credentials(response).staple() == response
    assert leaf_credentials().staple() is None
    assert replace(leaf_credentials(), ocsp_response=response).staple() == response
    assert "ocsp" not in repr(leaf_credentials(response))


def test_a_response_that_has_expired_is_kept_back() -> None:
    credentials = leaf_credentials(respond(next_update=NOW + DAY))
    assert credentials.staple(NOW + DAY) is not None
    assert credentials.staple(NOW + DAY + timedelta(seconds=1)) is None
    without = leaf_credentials(respond(this_update=NOW, next_update=None))
    lifetime = timedelta(seconds=limits.OCSP_LIFETIME)
    assert without.staple(NOW + lifetime) is not None
    assert without.staple(NOW + 2 * lifetime) is None


def test_a_function_has_the_newest() -> None:
    newest: list[bytes | None] = [None]
    credentials = leaf_credentials(lambda: newest[0])
    assert credentials.staple() is None
    for response in (respond(), respond(status=REVOKED), respond(signer=delegate())):
        newest[0] = response
        assert credentials.staple() == response
    newest[0] = b"?"
    with pytest.raises(ConfigurationError, match="cannot be read"):
        credentials.staple()


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (b"", "cannot be read"),
        (b"-----BEGIN OCSP RESPONSE-----", "must be an OCSPResponse in DER form"),
        (respond()[:-1], "cannot be read"),
        (unsuccessful(library.OCSPResponseStatus.TRY_LATER), "the OCSP response is none: try_later"),
        (respond(about=leaf(must_staple=True)), "for another certificate"),
        (bytes(limits.MAX_OCSP_RESPONSE + 1), "more than 32768"),
        ("text", "bytes in DER form, not str"),
    ],
    ids=["empty", "PEM", "cut", "later", "another", "large", "text"],
)
def test_responses_that_cannot_be_stapled(response: bytes, words: str) -> None:
    made = leaf()
    with pytest.raises(ConfigurationError, match=words):
        load_credentials(made.chain_pem, made.key_pem, ocsp_response=response)
    with pytest.raises(ConfigurationError, match=words):
        staple(lambda: response, made.der)
