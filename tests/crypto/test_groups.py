"""Key exchange: published vectors, lengths, and every malformed share a peer could send."""

from __future__ import annotations

import random

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from tlswrite.crypto.groups import DEFAULT_GROUPS, GROUPS, KeyShare, generate, respond
from tlswrite.errors import IllegalParameter
from tlswrite.iana import AlertDescription, NamedGroup

NIST = {
    NamedGroup.secp256r1: ec.SECP256R1(),
    NamedGroup.secp384r1: ec.SECP384R1(),
    NamedGroup.secp521r1: ec.SECP521R1(),
}
HYBRIDS = (NamedGroup.X25519MLKEM768, NamedGroup.SecP256r1MLKEM768, NamedGroup.SecP384r1MLKEM1024)


def ids(group: NamedGroup) -> str:
    return group.name


# RFC 9846 §4.3.8.2 and draft-ietf-tls-ecdhe-mlkem §4: client's share, server's share, secret, in bytes.
LENGTHS = {
    NamedGroup.secp256r1: (65, 65, 32),
    NamedGroup.secp384r1: (97, 97, 48),
    NamedGroup.secp521r1: (133, 133, 66),
    NamedGroup.x25519: (32, 32, 32),
    NamedGroup.SecP256r1MLKEM768: (1249, 1153, 64),
    NamedGroup.X25519MLKEM768: (1216, 1120, 64),
    NamedGroup.SecP384r1MLKEM1024: (1665, 1665, 80),
}


@pytest.mark.parametrize("group", sorted(GROUPS), ids=ids)
def test_both_sides_agree(group: NamedGroup) -> None:
    share = generate(group)
    server_public, secret = respond(int(group), share.public)
    assert share.finish(server_public) == secret
    assert (len(share.public), len(server_public), len(secret)) == LENGTHS[group]
    assert share.group is group
    assert repr(share) == f"<KeyShare {group.name}>"


@pytest.mark.parametrize("group", sorted(GROUPS), ids=ids)
def test_shares_are_fresh(group: NamedGroup) -> None:
    # RFC 9846 §4.3.8: MUST NOT reuse a key share for multiple connections.
    assert generate(group).public != generate(group).public
    client = generate(group).public
    assert respond(group, client)[0] != respond(group, client)[0]


def test_default_order() -> None:
    assert DEFAULT_GROUPS[0] is NamedGroup.X25519MLKEM768
    # RFC 9846 §9.1: MUST support secp256r1, SHOULD support x25519.
    assert {NamedGroup.secp256r1, NamedGroup.x25519} <= set(DEFAULT_GROUPS) == GROUPS == set(LENGTHS)


@pytest.mark.parametrize("group", [NamedGroup.x448, 0x0100, 0x1A1A])
def test_a_group_that_is_not_here(group: int) -> None:
    with pytest.raises(ValueError, match="no key exchange with"):
        generate(group)
    with pytest.raises(ValueError, match="no key exchange with"):
        respond(group, bytes(56))


# ---- published vectors ------------------------------------------------------------------------------


def _with_private(group: NamedGroup, private: object) -> KeyShare:
    share = generate(group)
    share._private = private
    return share


def test_rfc7748() -> None:
    # RFC 7748 §6.1: Alice's private key, Bob's public key, their secret.
    alice = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"
    bob = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    share = _with_private(NamedGroup.x25519, X25519PrivateKey.from_private_bytes(bytes.fromhex(alice)))
    secret = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert share.finish(bytes.fromhex(bob)).hex() == secret


def test_rfc8448_exchange() -> None:
    # RFC 8448 §3.
    share = _with_private(
        NamedGroup.x25519,
        X25519PrivateKey.from_private_bytes(
            bytes.fromhex("49af42ba7f7994852d713ef2784bcbcaa7911de26adc5642cb634540e7ea5005")
        ),
    )
    server = bytes.fromhex("c9828876112095fe66762bdbf7c672e156d6cc253b833df1dd69b1b04e751f0f")
    secret = "8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d"
    assert share.finish(server).hex() == secret


def test_rfc5903() -> None:
    # RFC 5903 §8.1: ECDH on P-256.
    initiator = int("C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433", 16)
    responder = bytes.fromhex(
        "04D12DFB5289C8D4F81208B70270398C342296970A0BCCB74C736FC7554494BF63"
        "56FBF3CA366CC23E8157854C13C58D6AAC23F046ADA30F8353E74F33039872AB"
    )
    share = _with_private(NamedGroup.secp256r1, ec.derive_private_key(initiator, ec.SECP256R1()))
    secret = "D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE"
    assert share.finish(responder).hex().upper() == secret


@pytest.mark.parametrize("group", NIST, ids=ids)
def test_leading_zeros_of_a_secret_stay(group: NamedGroup) -> None:
    # RFC 9846 §7.4.2: leading zeros found in this octet string MUST NOT be truncated.
    curve, peer = NIST[group], generate(NamedGroup(group)).public
    bits = 7 if group is NamedGroup.secp521r1 else 0  # the first byte of P-521 has one bit only
    for scalar in range(1, 5000):
        secret = _with_private_cached(group, scalar, curve).finish(peer)
        assert len(secret) == LENGTHS[group][2]
        if secret[0] == 0 and (not bits or secret[1] < 2):
            return
    pytest.fail("no secret with a leading zero in 5000")  # probability 10^-8


def _with_private_cached(group: NamedGroup, scalar: int, curve: ec.EllipticCurve) -> KeyShare:
    return _with_private(group, ec.derive_private_key(scalar, curve))


# ---- hybrids ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", HYBRIDS, ids=ids)
def test_parts_of_a_hybrid_stand_in_the_order_of_the_draft(group: NamedGroup) -> None:
    share = generate(group)
    server_public, secret = respond(group, share.public)
    curve_public = share._share.public
    ciphertext_length = 1568 if group is NamedGroup.SecP384r1MLKEM1024 else 1088
    if group is NamedGroup.X25519MLKEM768:
        # draft-ietf-tls-ecdhe-mlkem §4: ML-KEM first, in shares and secret.
        assert share.public.endswith(curve_public)
        kem, curve = server_public[:ciphertext_length], server_public[ciphertext_length:]
        kem_secret, curve_secret = secret[:32], secret[32:]
    else:
        # ECDH first for the NIST curves.
        assert share.public.startswith(curve_public)
        kem, curve = server_public[-ciphertext_length:], server_public[:-ciphertext_length]
        kem_secret, curve_secret = secret[-32:], secret[:-32]
    assert share._decapsulate(kem) == kem_secret
    assert share._share.finish(curve) == curve_secret


def test_a_share_in_a_hybrid_is_not_the_plain_one() -> None:
    # RFC 9846 §4.3.8: the key_exchange values MUST be generated independently.
    assert generate(NamedGroup.X25519MLKEM768).public[-32:] != generate(NamedGroup.x25519).public


@pytest.mark.parametrize("group", HYBRIDS, ids=ids)
def test_an_encapsulation_key_out_of_range(group: NamedGroup) -> None:
    # FIPS 203 §7.2, modulus check: a coefficient of q or more.
    public = bytearray(generate(group).public)
    start = 0 if group is NamedGroup.X25519MLKEM768 else LENGTHS[group][0] - len(_encapsulation_key(group))
    public[start : start + 3] = b"\xff\xff\xff"
    refused(group, bytes(public), "invalid ML-KEM key")


def _encapsulation_key(group: NamedGroup) -> bytes:
    return bytes(1568 if group is NamedGroup.SecP384r1MLKEM1024 else 1184)


def test_an_altered_ciphertext_gives_another_secret() -> None:
    # FIPS 203 §6.3, implicit rejection: no error tells the peer anything.
    share = generate(NamedGroup.X25519MLKEM768)
    server_public, secret = respond(NamedGroup.X25519MLKEM768, share.public)
    altered = bytes([server_public[0] ^ 1]) + server_public[1:]
    other = share.finish(altered)
    assert other[:32] != secret[:32] and other[32:] == secret[32:]


def test_hybrid_agrees_with_its_parts_made_elsewhere() -> None:
    """A server made of the bare primitives finishes with a client's share."""
    share = generate(NamedGroup.X25519MLKEM768)
    kem_secret, ciphertext = MLKEM768PublicKey.from_public_bytes(share.public[:1184]).encapsulate()
    server = X25519PrivateKey.generate()
    curve_secret = server.exchange(X25519PublicKey.from_public_bytes(share.public[1184:]))
    assert share.finish(ciphertext + server.public_key().public_bytes_raw()) == kem_secret + curve_secret


# ---- what a peer may not send -----------------------------------------------------------------------


def refused(
    group: NamedGroup, public: bytes, words: str, *, client: bool = True, server: bool = False
) -> None:
    """A share that a server (or a client) refuses with illegal_parameter."""
    if client:
        with pytest.raises(IllegalParameter, match=words) as caught:
            respond(group, public)
        assert caught.value.alert is AlertDescription.ILLEGAL_PARAMETER
    if server:
        with pytest.raises(IllegalParameter, match=words):
            generate(group).finish(public)


@pytest.mark.parametrize("group", sorted(GROUPS), ids=ids)
def test_lengths(group: NamedGroup) -> None:
    client_length, server_length, _ = LENGTHS[group]
    good_client = generate(group).public
    good_server, _ = respond(group, good_client)
    for length in {0, 1, 31, 32, 33, 64, 65, 66, client_length - 1, client_length + 1} - {client_length}:
        refused(group, (good_client * 60)[:length], "share")
    for length in {0, 1, 31, 32, 33, 64, 65, 66, server_length - 1, server_length + 1} - {server_length}:
        refused(group, (good_server * 60)[:length], "share", client=False, server=True)


@pytest.mark.parametrize("group", NIST, ids=ids)
def test_point_forms(group: NamedGroup) -> None:
    # RFC 9846 §4.3.8.2: UncompressedPointRepresentation, legacy_form = 4; no other form, no infinity.
    public = generate(group).public
    size = (len(public) - 1) // 2
    x, y = public[1 : size + 1], public[size + 1 :]
    for form in (2, 3):
        refused(group, bytes([form]) + x, "not an uncompressed point", server=True)
        refused(group, bytes([form]) + x + y, "not an uncompressed point", server=True)
    for form in (0, 1, 5, 6, 7, 255):
        refused(group, bytes([form]) + x + y, "not an uncompressed point", server=True)
    refused(group, b"\x00", "not an uncompressed point", server=True)


@pytest.mark.parametrize("group", NIST, ids=ids)
def test_points_that_are_not_on_the_curve(group: NamedGroup) -> None:
    # RFC 9846 §4.3.8.2: peers MUST validate each other's public value Q.
    public = generate(group).public
    size = (len(public) - 1) // 2
    off = bytearray(public)
    off[-1] ^= 1
    refused(group, bytes(off), "not on the curve", server=True)
    refused(group, b"\x04" + bytes(2 * size), "not on the curve", server=True)
    refused(group, b"\x04" + b"\xff" * 2 * size, "not on the curve", server=True)
    swapped = public[:1] + public[1 + size :] + public[1 : 1 + size]
    refused(group, swapped, "not on the curve", server=True)


def test_coordinates_out_of_their_interval() -> None:
    # RFC 9846 §4.3.8.2, step 2: for Q = (x, y) both integers are in the correct interval.
    p = 2**256 - 2**224 + 2**192 + 2**96 - 1
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    for x in range(1, 100):
        square = (x**3 - 3 * x + b) % p
        y = pow(square, (p + 1) // 4, p)
        if y * y % p == square:
            break
    good = b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big")
    respond(NamedGroup.secp256r1, good)
    refused(
        NamedGroup.secp256r1,
        b"\x04" + (x + p).to_bytes(32, "big") + good[33:],
        "not on the curve",
        server=True,
    )


# RFC 7748 §6.1: inputs of small order, whose shared secret is all zeros; canonical and not.
SMALL_ORDER = [
    "00" * 32,
    "01" + "00" * 31,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ec" + "ff" * 30 + "7f",
    "ed" + "ff" * 30 + "7f",
    "ee" + "ff" * 30 + "7f",
]


@pytest.mark.parametrize("public", SMALL_ORDER)
def test_x25519_all_zero_secret(public: str) -> None:
    # RFC 9846 §7.4.2: MUST check whether the shared secret is the all-zero value and abort if so.
    point = bytes.fromhex(public)
    refused(NamedGroup.x25519, point, "small order", server=True)
    hybrid = NamedGroup.X25519MLKEM768
    refused(hybrid, generate(hybrid).public[:1184] + point, "small order")
    refused(
        hybrid,
        respond(hybrid, generate(hybrid).public)[0][:1088] + point,
        "small order",
        client=False,
        server=True,
    )


@pytest.mark.parametrize("group", sorted(GROUPS), ids=ids)
def test_noise_is_refused_or_agrees_on_nothing(group: NamedGroup) -> None:
    """Any bytes of the right length end in a secret or in IllegalParameter, and in no other exception."""
    noise = random.Random(group)
    for _ in range(50):
        try:
            server_public, secret = respond(group, noise.randbytes(LENGTHS[group][0]))
        except IllegalParameter:
            continue
        assert (len(server_public), len(secret)) == LENGTHS[group][1:]
    share = generate(group)
    for _ in range(50):
        try:
            secret = share.finish(noise.randbytes(LENGTHS[group][1]))
        except IllegalParameter:
            continue
        assert len(secret) == LENGTHS[group][2]
