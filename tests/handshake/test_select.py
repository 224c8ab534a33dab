"""The server's choices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support import pki
from tests.support.engine import (
    BOTH,
    ECDHE,
    HOST,
    ONLY_1_2,
    TLS_1_3,
    client_config,
    credentials,
    server_config,
)
from tests.support.handshakes import with_extension
from tlswrite.crypto.groups import ECDHE_GROUPS
from tlswrite.crypto.signatures import CERT_SCHEMES
from tlswrite.crypto.x509 import Credentials, load_credentials
from tlswrite.errors import (
    DecodeError,
    HandshakeFailure,
    IllegalParameter,
    InappropriateFallback,
    MissingExtension,
    NoApplicationProtocol,
    PeerError,
    ProtocolVersionError,
)
from tlswrite.handshake.entropy import SYSTEM
from tlswrite.handshake.offer import make_offer
from tlswrite.handshake.select import (
    ClientOffer,
    chosen_config,
    common_scheme,
    rank_credentials,
    select_alpn,
    select_credentials,
    select_group,
    select_suite,
    select_version,
    version_name,
)
from tlswrite.iana import (
    GREASE,
    AlertDescription,
    CipherSuite,
    ExtensionType,
    NamedGroup,
    ProtocolVersion,
    SignatureScheme,
)
from tlswrite.messages import extensions as ext
from tlswrite.messages.hello import ClientHello

AES128, AES256, CHACHA = tuple(CipherSuite)[1:4]
HYBRID, X25519, P256 = NamedGroup.X25519MLKEM768, NamedGroup.x25519, NamedGroup.secp256r1
ED25519, ECDSA = SignatureScheme.ed25519, SignatureScheme.ecdsa_secp256r1_sha256


def offer(**fields: Any) -> ClientOffer:
    made = ClientOffer.read(make_offer(client_config(grease=False), HOST, SYSTEM).hello)
    return replace(made, **fields)


def hello(versions: bytes | None = None, legacy_version: int = 0x0303) -> ClientHello:
    extensions = () if versions is None else ((int(ExtensionType.SUPPORTED_VERSIONS), versions),)
    return ClientHello(bytes(32), b"", (AES128,), extensions, legacy_version)


# ---- version ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "accepted", "chosen"),
    [
        ((0x0304,), (0x0304,), 0x0304),
        ((0x0303, 0x0304), (0x0304, 0x0303), 0x0304),
        ((0x0303,), (0x0304, 0x0303), 0x0303),
        ((*GREASE, 0x0304), (0x0304,), 0x0304),
    ],
)
def test_the_highest_version_in_common(offered: Any, accepted: Any, chosen: int) -> None:
    assert select_version(hello(ext.encode_supported_versions_client(offered)), accepted) == chosen


@pytest.mark.parametrize("legacy_version", [0x0303, 0x0304, 0x0400])
def test_without_supported_versions_it_is_tls_1_2_at_most(legacy_version: int) -> None:
    # RFC 9846 §4.3.1: even if legacy_version is 0x0304 or later.
    assert select_version(hello(None, legacy_version), (0x0304, 0x0303)) == 0x0303
    with pytest.raises(ProtocolVersionError, match=r"offers TLS 1\.2; this server accepts TLS 1\.3"):
        select_version(hello(None, legacy_version), (TLS_1_3,))


def test_legacy_version_counts_for_nothing_beside_supported_versions() -> None:
    # RFC 9846 §4.3.1: MUST NOT use legacy_version, MUST use only supported_versions.
    with pytest.raises(ProtocolVersionError, match="offers no version known here"):
        select_version(hello(b"\2\x7f\x1c", 0x0303), (0x0303, 0x0304))


def test_versions_in_words() -> None:
    assert [version_name(each) for each in (0x0300, 0x0303, 0x0304)] == ["SSL 3.0", "TLS 1.2", "TLS 1.3"]
    assert version_name(0x7F1C) == "ProtocolVersion(0x7f1c)"


# ---- suite, group -----------------------------------------------------------------------------------


def test_the_servers_order_of_suites_decides() -> None:
    config = server_config(cipher_suites=(CHACHA, AES128))
    assert select_suite(offer(cipher_suites=(AES128, AES256, CHACHA)), config, TLS_1_3).id == CHACHA
    assert select_suite(offer(cipher_suites=(GREASE[3], AES256, AES128)), config, TLS_1_3).id == AES128
    with pytest.raises(HandshakeFailure, match="the client offers TLS_AES_256_GCM_SHA384"):
        select_suite(offer(cipher_suites=(AES256,)), config, TLS_1_3)


@pytest.mark.parametrize(
    ("server", "client", "shares", "chosen"),
    [
        # The server's order, among groups with a share.
        ((X25519, P256), (P256, X25519), (P256, X25519), X25519),
        # A share that is there goes before a better group without.
        ((X25519, P256), (P256, X25519), (P256,), P256),
        # Nothing that is there will do: ask for the best.
        ((X25519, P256), (P256, X25519), (), X25519),
        # A hybrid that the server prefers is worth a round trip.
        ((HYBRID, X25519), (X25519, HYBRID), (X25519,), HYBRID),
        ((X25519, HYBRID), (X25519, HYBRID), (X25519,), X25519),
        ((HYBRID, X25519), (X25519,), (X25519,), X25519),
        ((HYBRID, NamedGroup.SecP256r1MLKEM768), tuple(NamedGroup), (NamedGroup.SecP256r1MLKEM768,), 4587),
        ((X25519,), (*GREASE, X25519), (GREASE[0], X25519), X25519),
    ],
)
def test_groups(server: Any, client: Any, shares: Any, chosen: int) -> None:
    made = offer(groups=client, shares=dict.fromkeys(shares, b"x"))
    assert select_group(made, server_config(groups=server)) == chosen


def test_groups_without_overlap() -> None:
    # RFC 9846 §4.2.1: "handshake_failure" or "insufficient_security".
    with pytest.raises(HandshakeFailure, match=r"the client supports secp384r1, NamedGroup\(0x0100\)"):
        select_group(offer(groups=(NamedGroup.secp384r1, 0x0100)), server_config(groups=(X25519,)))


# ---- credentials ------------------------------------------------------------------------------------


def named(name: str, key_type: str = "ecdsa_secp256r1") -> Credentials:
    made = pki.issue((name,), key_type=key_type)
    return load_credentials(made.chain_pem, made.key_pem)


def test_the_first_scheme_that_both_know() -> None:
    rsa = credentials("rsa")
    order = rsa.schemes
    assert common_scheme(rsa.schemes, order, order) == order[0]
    assert common_scheme(rsa.schemes, order[1:], order) == order[1]
    assert common_scheme(rsa.schemes, order, order[2:]) == order[2]
    assert common_scheme(rsa.schemes, (ED25519,), order) is None


def test_the_first_credentials_that_can_sign() -> None:
    both = credentials(), credentials("ed25519")
    everything = server_config().signature_schemes
    assert select_credentials(both, offer(schemes=(ED25519, ECDSA)), everything) == (both[0], ECDSA)
    assert select_credentials(both, offer(schemes=(*GREASE, ED25519)), everything) == (both[1], ED25519)
    with pytest.raises(HandshakeFailure, match="the client verifies rsa_pkcs1_sha256"):
        select_credentials(both, offer(schemes=(SignatureScheme.rsa_pkcs1_sha256,)), everything)


def test_the_server_name_guides_the_choice() -> None:
    # RFC 9846 §4.5.1.2: server_name is used to guide certificate selection.
    plain, other, wild = named("one.example"), named("two.example"), named("*.sub.example")
    everything = server_config().signature_schemes
    for name, chosen in (
        ("two.example", other),
        ("TWO.example", other),
        ("x.sub.example", wild),
        ("unknown.example", plain),
        (None, plain),
    ):
        assert select_credentials((plain, other, wild), offer(server_name=name), everything)[0] is chosen


def test_a_chain_that_the_client_can_verify_goes_first() -> None:
    # RFC 9846 §4.5.1.2: signed by an advertised algorithm, if there is such a chain.
    def signed_by(key_type: str) -> Credentials:
        issuer = pki.authority(f"an authority with {key_type}", key_type)
        made = pki.issue((HOST,), issuer=issuer)
        return load_credentials(made.chain_pem, made.key_pem)

    edwards, rsa = signed_by("ed25519"), signed_by("rsa")
    everything = server_config().signature_schemes
    only_rsa = offer(certificate_schemes=(SignatureScheme.rsa_pkcs1_sha256,))
    assert select_credentials((edwards, rsa), offer(), everything)[0] is edwards
    assert select_credentials((edwards, rsa), only_rsa, everything)[0] is rsa
    # A chain of the server's choice where there is none.
    neither = offer(certificate_schemes=(SignatureScheme.ed448,))
    assert select_credentials((edwards, rsa), neither, everything)[0] is edwards


def test_a_chain_with_sha_1_is_for_those_who_ask_for_it() -> None:
    # RFC 9846 §4.5.1.2: MUST NOT use the deprecated SHA-1 hash unless the client advertises it.
    good = credentials()
    pem = (Path(__file__).parents[1] / "vectors/certificates/signed_sha1.pem").read_bytes()
    chain = tuple(each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(pem))
    old = replace(good, chain=chain)
    everything = server_config().signature_schemes
    legacy = frozenset({SignatureScheme.rsa_pkcs1_sha1, SignatureScheme.ecdsa_sha1})
    with pytest.raises(HandshakeFailure):
        select_credentials((old,), offer(), everything)
    assert select_credentials((old, good), offer(), everything)[0] is good
    asking = offer(certificate_schemes=tuple(legacy))
    assert select_credentials((old,), asking, everything)[0] is old


# ---- ALPN -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "client", "chosen"),
    [
        (("h2", "http/1.1"), (b"http/1.1", b"h2"), "h2"),
        (("h2", "http/1.1"), (b"\x0a\x0a", b"http/1.1"), "http/1.1"),
        (("h2",), (), None),
        ((), (b"h2",), None),
        (("grüße",), ("grüße".encode(),), "grüße"),
    ],
)
def test_protocols(server: Any, client: Any, chosen: str | None) -> None:
    assert select_alpn(offer(alpn=client), server_config(alpn_protocols=server)) == chosen


def test_protocols_without_overlap() -> None:
    # RFC 7301 §3.2: "no_application_protocol".
    with pytest.raises(NoApplicationProtocol, match=r"the client offers h3, \\xff"):
        select_alpn(offer(alpn=(b"h3", b"\xff")), server_config(alpn_protocols=("h2",)))


# ---- reading an offer -------------------------------------------------------------------------------


def test_an_offer_is_read_as_it_was_made() -> None:
    config = client_config(
        groups=(HYBRID, X25519), alpn_protocols=("h2",), post_handshake_auth=True, record_size_limit=200
    )
    made = make_offer(config, HOST, SYSTEM)
    read = ClientOffer.read(made.hello)
    assert [group for group in read.groups if group not in GREASE] == [HYBRID, X25519]
    assert {group: read.shares[group] for group in made.shares} == {
        group: share.public for group, share in made.shares.items()
    }
    assert read.server_name == HOST
    assert (read.record_size_limit, read.post_handshake_auth) == (200, True)
    assert b"h2" in read.alpn
    assert SignatureScheme.rsa_pkcs1_sha256 in read.certificate_schemes


def test_without_signature_algorithms_cert_the_other_list_counts_for_both() -> None:
    # RFC 9846 §4.3.3.
    made = make_offer(client_config(), HOST, SYSTEM).hello
    without = tuple(each for each in made.extensions if each[0] != ExtensionType.SIGNATURE_ALGORITHMS_CERT)
    read = ClientOffer.read(replace(made, extensions=without))
    assert read.certificate_schemes == read.schemes


# ---- TLS 1.2 ------------------------------------------------------------------------------------------

OLD, NEW = ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_3
FALLBACK = CipherSuite.TLS_FALLBACK_SCSV


def offer12(without: tuple[int, ...] = (), **fields: Any) -> ClientOffer:
    """What a client of TLS 1.2 alone offers, extensions left out."""
    made = make_offer(client_config(grease=False, **ONLY_1_2, **fields), HOST, SYSTEM).hello
    kept = tuple(each for each in made.extensions if each[0] not in without)
    return ClientOffer.read_tls12(replace(made, extensions=kept))


@pytest.mark.parametrize("legacy_version", [0x0200, 0x0300, 0x0301, 0x0302])
def test_versions_below_tls_1_2(legacy_version: int) -> None:
    # RFC 8996 §4, §5: TLS 1.0 and 1.1 MUST NOT be negotiated; RFC 5246 §E.1: "protocol_version".
    with pytest.raises(ProtocolVersionError, match=r"this server accepts TLS 1\.3, TLS 1\.2") as caught:
        select_version(hello(None, legacy_version), (OLD, NEW))
    assert caught.value.alert is AlertDescription.PROTOCOL_VERSION


def test_a_server_of_tls_1_2_alone() -> None:
    both = ext.encode_supported_versions_client((NEW, OLD))
    assert select_version(hello(both), (OLD,)) == OLD
    # RFC 9846 §E.2: a client that knows the extension lists TLS 1.2 in it, or does not speak it.
    with pytest.raises(ProtocolVersionError, match=r"offers TLS 1\.3; this server accepts TLS 1\.2 \["):
        select_version(hello(ext.encode_supported_versions_client((NEW,))), (OLD,))


@pytest.mark.parametrize(
    ("offered", "accepted", "refused"),
    [
        # RFC 7507 §3: a server that can do better than the client now asks for MUST refuse.
        (None, (OLD, NEW), True),
        ((OLD,), (OLD, NEW), True),
        ((0x0301, OLD), (NEW, OLD), True),
        # The best that this server has is no fallback.
        (None, (OLD,), False),
        ((OLD, NEW), (OLD, NEW), False),
        ((NEW,), (OLD, NEW), False),
        ((NEW,), (NEW,), False),
    ],
)
def test_fallbacks(offered: Any, accepted: Any, refused: bool) -> None:
    versions = None if offered is None else ext.encode_supported_versions_client(offered)
    plain = hello(versions)
    chosen = select_version(plain, accepted)
    signalling = replace(plain, cipher_suites=(AES128, FALLBACK))
    if not refused:
        assert select_version(signalling, accepted) == chosen
        return
    with pytest.raises(InappropriateFallback, match=r"fell back to TLS 1\.2 although both sides") as caught:
        select_version(signalling, accepted)
    assert caught.value.alert is AlertDescription.INAPPROPRIATE_FALLBACK


def test_a_fallback_without_a_version_in_common_is_about_the_version() -> None:
    # RFC 7507 §3 lets it be either alert; which versions there are tells more.
    with pytest.raises(ProtocolVersionError):
        select_version(replace(hello(), cipher_suites=(FALLBACK,)), (NEW,))


def test_a_suite_of_tls_1_2_is_one_for_the_servers_key() -> None:
    # RFC 8422 §2: ECDHE_ECDSA and ECDHE_RSA name the kind of key that signs.
    config = server_config(**BOTH)
    made = offer12()
    ecdsa, rsa = (select_suite(made, config, OLD, kind) for kind in ("ECDSA", "RSA"))
    assert (ecdsa.openssl_name, rsa.openssl_name) == (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
    )
    only_rsa = replace(made, cipher_suites=(rsa.id, AES128, 0x002F))
    assert select_suite(only_rsa, config, OLD, "RSA") == rsa
    assert select_suite(only_rsa, config, NEW).id == AES128
    for version, kind in ((OLD, "ECDSA"), (OLD, "")):
        with pytest.raises(HandshakeFailure, match="no cipher suite in common"):
            select_suite(only_rsa, config, version, kind)


def test_signalling_suites_are_never_selected() -> None:
    # RFC 5746 §3.3, RFC 7507 §2: they are no cipher suites.
    made = replace(offer12(), cipher_suites=(0x00FF, FALLBACK))
    with pytest.raises(HandshakeFailure, match="TLS_EMPTY_RENEGOTIATION_INFO_SCSV, TLS_FALLBACK_SCSV"):
        select_suite(made, server_config(**BOTH), OLD, "ECDSA")


def test_a_group_for_tls_1_2_is_one_of_its_own() -> None:
    config = server_config(groups=(HYBRID, P256, X25519), **BOTH)
    made = replace(offer12(), groups=(HYBRID, X25519, P256))
    # There are no shares to go by: the server's order decides.
    assert select_group(made, config, ECDHE_GROUPS) == P256
    with pytest.raises(HandshakeFailure, match="no key exchange group in common"):
        select_group(replace(made, groups=(HYBRID,)), config, ECDHE_GROUPS)


def test_an_offer_of_tls_1_2_is_read_as_it_was_made() -> None:
    read = offer12(alpn_protocols=("h2",), record_size_limit=200, max_fragment_length=512)
    assert read.groups == ECDHE
    assert read.shares == {}
    assert (read.server_name, read.alpn) == (HOST, (b"h2",))
    assert (read.record_size_limit, read.max_fragment_length) == (200, 512)
    assert not read.post_handshake_auth
    assert SignatureScheme.rsa_pkcs1_sha256 in read.schemes
    assert read.certificate_schemes == CERT_SCHEMES


def test_what_a_hello_of_tls_1_2_may_lack() -> None:
    # RFC 8422 §4: without supported_groups the server is free to choose.
    assert offer12((ExtensionType.SUPPORTED_GROUPS,)).groups == tuple(ECDHE_GROUPS)
    # RFC 5246 §7.4.1.4.1: without signature_algorithms it is SHA-1, which signs nothing here (RFC 9155 §2).
    bare = offer12((ExtensionType.SIGNATURE_ALGORITHMS, ExtensionType.SIGNATURE_ALGORITHMS_CERT))
    assert bare.schemes == bare.certificate_schemes == ()
    with pytest.raises(HandshakeFailure, match="no signature scheme in common"):
        select_credentials((credentials(),), bare, (ECDSA,))
    nothing = ClientOffer.read_tls12(ClientHello(bytes(32), b"", (0xC02B,), (), has_extensions=False))
    assert (nothing.server_name, nothing.alpn, nothing.record_size_limit) == (None, (), None)
    assert (nothing.max_fragment_length, nothing.schemes) == (None, ())
    # In TLS 1.3 the same is an error (RFC 9846 §9.2).
    with pytest.raises(MissingExtension):
        ClientOffer.read(ClientHello(bytes(32), b"", (0x1301,), ()))


@pytest.mark.parametrize(
    ("extension", "wrong", "error"),
    [
        (ExtensionType.SUPPORTED_GROUPS, b"\0\0", DecodeError),
        (ExtensionType.SUPPORTED_GROUPS, b"", DecodeError),
        (ExtensionType.SIGNATURE_ALGORITHMS, b"\0\1\4", DecodeError),
        (ExtensionType.SIGNATURE_ALGORITHMS_CERT, b"\0", DecodeError),
        (ExtensionType.APPLICATION_LAYER_PROTOCOL_NEGOTIATION, b"\0\1\0", DecodeError),
        (ExtensionType.SERVER_NAME, b"\0", DecodeError),
        (ExtensionType.RECORD_SIZE_LIMIT, b"\0\0\0", DecodeError),
        # RFC 8449 §4: below 64; RFC 6066 §4: another value.
        (ExtensionType.RECORD_SIZE_LIMIT, b"\0\x3f", IllegalParameter),
        (ExtensionType.MAX_FRAGMENT_LENGTH, b"\5", IllegalParameter),
        (ExtensionType.MAX_FRAGMENT_LENGTH, b"\1\1", DecodeError),
    ],
)
def test_malformed_extensions_are_refused_in_both_versions(
    extension: ExtensionType, wrong: bytes, error: type[PeerError]
) -> None:
    made = make_offer(client_config(grease=False, **BOTH), HOST, SYSTEM).hello
    altered = with_extension(made, extension, wrong)
    for read in (ClientOffer.read, ClientOffer.read_tls12):
        with pytest.raises(error) as caught:
            read(altered)
        assert type(caught.value) is error


def test_an_sni_callback_chooses_for_both_versions() -> None:
    one, other = credentials(), credentials("rsa")
    inner = server_config(credentials=(other,), **BOTH)
    asked: list[str | None] = []

    def choosing(result: Any) -> Any:
        def choose(name: str | None) -> Any:
            asked.append(name)
            return result

        return server_config(credentials=(one,), sni_callback=choose, **BOTH)

    for result, expected in ((None, (one,)), (other, (other,)), (inner, (other,))):
        config = choosing(result)
        chosen, offered = chosen_config(config, offer12())
        assert chosen is (inner if result is inner else config)
        assert offered == expected
    assert asked == [HOST] * 3
    assert chosen_config(inner, offer12()) == (inner, (other,))


def test_credentials_are_ranked_where_several_would_do() -> None:
    able = [(credentials(), ECDSA), (credentials("rsa"), SignatureScheme.rsa_pkcs1_sha256)]
    assert rank_credentials(able, offer12()) == able[0], "the server's order"
    assert rank_credentials(able[1:], offer12()) == able[1]
    elsewhere = (named("other.example"), ECDSA)
    assert rank_credentials([elsewhere, *able], offer12()) == able[0], "the name decides"
