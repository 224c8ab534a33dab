"""What both sides share: who may be shown in a renegotiation, and floods of them."""

from __future__ import annotations

import pytest

from tests.support import pki
from tests.support.engine import credentials
from tests.support.handshakes import Recorder
from tlswrite.crypto.x509 import load_credentials
from tlswrite.errors import CertificateError, HandshakeFailure, TooMuchError
from tlswrite.limits import MAX_RENEGOTIATIONS_IN_A_ROW
from tlswrite.tls12.handshake import Handshake12, Last, Progress


def after(chain: tuple[bytes, ...]) -> Handshake12:
    """A handshake behind one in which the peer showed `chain`."""
    return Handshake12(Recorder(), Last(b"c" * 12, b"s" * 12, chain, Progress(), None))


def test_the_same_person_may_have_another_certificate() -> None:
    chain = credentials().chain
    made = after(chain)
    made.peer_chain = chain
    made.check_identity(False)
    renewed = pki.issue(key_type="ecdsa_secp384r1")
    made.peer_chain = load_credentials(renewed.chain_pem, renewed.key_pem).chain
    assert made.peer_chain != chain
    made.check_identity(False)


def test_somebody_else_may_not_take_over() -> None:
    made = after(credentials().chain)
    other = pki.issue(("other.example",))
    for chain in (load_credentials(other.chain_pem, other.key_pem).chain, ()):
        made.peer_chain = chain
        with pytest.raises(CertificateError, match="somebody else"):
            made.check_identity(False)
        made.check_identity(True)


def test_who_was_nobody_may_become_somebody() -> None:
    for made in (after(()), Handshake12(Recorder(), None)):
        made.peer_chain = credentials(client=True).chain
        made.check_identity(False)


@pytest.mark.parametrize("received", [None, b"", b"c" * 11, b"x" * 12])
def test_renegotiation_info_must_be_equal(received: bytes | None) -> None:
    made = after(())
    made.check_renegotiation_info(b"c" * 12, b"c" * 12)
    with pytest.raises(HandshakeFailure, match="renegotiation_info"):
        made.check_renegotiation_info(received, b"c" * 12)


def test_renegotiations_without_data_between_them_are_counted() -> None:
    io = Recorder()
    progress = Progress()
    for _ in range(3):
        for _ in range(MAX_RENEGOTIATIONS_IN_A_ROW):
            progress.count(io)
        io.delivered += 1
    io.delivered -= 1
    with pytest.raises(TooMuchError, match="flood of renegotiations"):
        progress.count(io)
