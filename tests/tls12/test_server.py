"""The server's handshake in TLS 1.2: its steps, its choices, and what a client must not send."""

from __future__ import annotations

import ssl
from dataclasses import replace
from typing import Any

import pytest

from tests.support import pki
from tests.support.engine import (
    BOTH,
    ECDHE,
    HOST,
    ONLY_1_2,
    anchors,
    client_config,
    credentials,
    server_config,
)
from tests.support.handshakes import (
    Edit,
    Handshake,
    Recorder,
    Side,
    editing,
    from_client,
    server_refuses,
    with_extension,
)
from tlswrite.config import Mode
from tlswrite.crypto.trust import TrustAnchors
from tlswrite.crypto.x509 import load_credentials
from tlswrite.errors import (
    CertificateError,
    DecodeError,
    DecryptError,
    HandshakeFailure,
    IllegalParameter,
    InappropriateFallback,
    NoApplicationProtocol,
    ProtocolVersionError,
    TLSError,
    UnexpectedMessage,
)
from tlswrite.handshake.entropy import SYSTEM
from tlswrite.handshake.offer import make_offer
from tlswrite.iana import (
    AlertDescription,
    CipherSuite,
    ExtensionType,
    HandshakeType,
    NamedGroup,
    SignatureScheme,
)
from tlswrite.messages import extensions as ext
from tlswrite.messages import extensions12 as ext12
from tlswrite.messages.framing import MESSAGES12
from tlswrite.messages.hello import DOWNGRADE_TLS12
from tlswrite.negotiate import server_handshake
from tlswrite.tls12.handshake import Last, Progress
from tlswrite.tls12.server import ServerHandshake

CH, SH, CT, CR, CV, CKE, FIN = (
    HandshakeType.CLIENT_HELLO,
    HandshakeType.SERVER_HELLO,
    HandshakeType.CERTIFICATE,
    HandshakeType.CERTIFICATE_REQUEST,
    HandshakeType.CERTIFICATE_VERIFY,
    HandshakeType.CLIENT_KEY_EXCHANGE,
    HandshakeType.FINISHED,
)
E = ExtensionType


def run(
    client: dict[str, Any] | None = None, server: dict[str, Any] | None = None, edit: Edit | None = None
) -> Handshake:
    return Handshake(
        client_config(**ONLY_1_2, **(client or {})), server_config(**ONLY_1_2, **(server or {})), edit
    )


def asking(**fields: Any) -> dict[str, Any]:
    return {"verify_mode": ssl.CERT_REQUIRED, "trust_anchors": anchors(), **fields}


def refuses(
    edit: Edit | None,
    expected: type[TLSError],
    match: str = "",
    client: dict[str, Any] | None = None,
    server: dict[str, Any] | None = None,
) -> TLSError:
    return server_refuses(
        edit,
        expected,
        match,
        client=client_config(**ONLY_1_2, **(client or {})),
        server=server_config(**ONLY_1_2, **(server or {})),
    )


def changing(kind: HandshakeType, **fields: Any) -> Edit:
    return from_client(editing(kind, lambda message: replace(message, **fields), messages=MESSAGES12))


def extending(extension: int, data: bytes | None) -> Edit:
    return editing(CH, lambda message: with_extension(message, extension, data), messages=MESSAGES12)


# ---- the steps ----


def test_the_messages_and_waits_of_a_handshake() -> None:
    # RFC 5246 §7.3, figure 1.
    made = run()
    assert made.complete
    assert made.server.waits == ["START", "WAIT_CKE", "WAIT_FINISHED"]
    assert made.server.io.log == [
        "server_hello",
        "certificate",
        "server_key_exchange",
        "server_hello_done",
        "read key",
        "change_cipher_spec",
        "write key",
        "finished",
        "complete",
    ]


def test_the_waits_with_a_client_certificate() -> None:
    made = run({"credentials": credentials(client=True)}, asking())
    assert made.complete
    assert made.server.waits == ["START", "WAIT_CERT", "WAIT_CKE", "WAIT_CV", "WAIT_FINISHED"]
    made = run({}, asking(verify_mode=ssl.CERT_OPTIONAL))
    assert made.complete
    assert made.server.waits == ["START", "WAIT_CERT", "WAIT_CKE", "WAIT_FINISHED"]


@pytest.mark.parametrize(
    ("before", "extra"), [(CKE, FIN), (CKE, CT), (FIN, CV), (FIN, CKE), (CKE, HandshakeType.HELLO_REQUEST)]
)
def test_messages_out_of_order(before: HandshakeType, extra: HandshakeType) -> None:
    def edit(name: str, raw: bytes) -> list[bytes]:
        return [bytes((extra, 0, 0, 0)), raw] if name == "client" and raw[0] == before else [raw]

    refuses(edit, UnexpectedMessage, f"{extra.name.lower()} received in state")


# ---- ClientHello ----


@pytest.mark.parametrize(
    ("fields", "expected", "match"),
    [
        (
            {"legacy_version": 0x0302},
            ProtocolVersionError,
            "client offers TLS 1.1; this server accepts TLS 1.2",
        ),
        ({"legacy_version": 0x0301}, ProtocolVersionError, "the client offers TLS 1.0"),
        ({"legacy_version": 0x0300}, ProtocolVersionError, "the client offers SSL 3.0"),
        # RFC 5246 §7.4.1.2: null MUST be among the compression methods.
        ({"compression_methods": b"\1"}, IllegalParameter, "compression"),
        # CBC, RSA key exchange and the suites of TLS 1.3 are nothing for TLS 1.2 here.
        ({"cipher_suites": (0xC013, 0xC009, 0x009C, 0x002F, 0x1301)}, HandshakeFailure, "AES-GCM"),
        # A suite for RSA keys, and the server's key is ECDSA.
        ({"cipher_suites": (0xC02F,)}, HandshakeFailure, "no cipher suite"),
    ],
)
def test_fields_of_the_client_hello(fields: dict[str, Any], expected: type[TLSError], match: str) -> None:
    refuses(changing(CH, **fields), expected, match)


def test_other_compression_methods_beside_null_do_not_matter() -> None:
    made = run(edit=changing(CH, compression_methods=b"\1\0"))
    assert made.sent("server", SH)[0].compression_method == 0


@pytest.mark.parametrize(
    ("extension", "data", "expected"),
    [
        (E.RENEGOTIATION_INFO, b"\1x", HandshakeFailure),
        (E.EXTENDED_MAIN_SECRET, b"x", DecodeError),
        (E.EXTENDED_MAIN_SECRET, None, HandshakeFailure),
        (E.EC_POINT_FORMATS, b"\1\1", IllegalParameter),
        (E.RECORD_SIZE_LIMIT, b"\0\x3f", IllegalParameter),
        (E.MAX_FRAGMENT_LENGTH, b"\5", IllegalParameter),
        (E.SUPPORTED_GROUPS, ext.encode_supported_groups((NamedGroup.x448,)), HandshakeFailure),
        # RFC 8422 §5.1: the certificate's key is on a curve that the client does not list.
        (E.SUPPORTED_GROUPS, ext.encode_supported_groups((NamedGroup.x25519,)), HandshakeFailure),
        # RFC 5246 §7.4.1.4.1: then it is SHA-1, which nothing here signs with (RFC 9155).
        (E.SIGNATURE_ALGORITHMS, None, HandshakeFailure),
        (E.SIGNATURE_ALGORITHMS, b"\0\2\2\3", HandshakeFailure),
        (E.OID_FILTERS, b"", IllegalParameter),
    ],
)
def test_extensions_of_the_client_hello(extension: int, data: bytes | None, expected: type[TLSError]) -> None:
    refuses(extending(extension, data), expected)


def test_without_supported_groups_the_server_is_free_to_choose() -> None:
    # RFC 8422 §4.
    made = run(edit=extending(E.SUPPORTED_GROUPS, None))
    assert made.sent("server", HandshakeType.SERVER_KEY_EXCHANGE)[0].group in ECDHE


def test_the_signalling_suite_in_place_of_the_extension() -> None:
    # RFC 5746 §3.6.
    def signal(hello: Any) -> Any:
        hello = with_extension(hello, E.RENEGOTIATION_INFO, None)
        return replace(hello, cipher_suites=(*hello.cipher_suites, 0x00FF))

    made = run(edit=editing(CH, signal))
    assert made.sent("server", SH)[0].extension(E.RENEGOTIATION_INFO) == b"\0"


def test_a_client_without_either_gets_no_answer() -> None:
    made = run(edit=extending(E.RENEGOTIATION_INFO, None))
    assert made.sent("server", SH)[0].extension(E.RENEGOTIATION_INFO) is None


def test_a_fallback_that_was_not_needed() -> None:
    # RFC 7507 §3: "inappropriate_fallback".
    falling = client_config(**ONLY_1_2, mode=Mode.SEND_FALLBACK_SCSV)
    error = server_refuses(
        None, InappropriateFallback, "downgrade", client=falling, server=server_config(**BOTH)
    )
    assert error.alert == AlertDescription.INAPPROPRIATE_FALLBACK
    # A server that cannot do better has nothing against it.
    assert Handshake(falling, server_config(**ONLY_1_2)).complete


def test_a_server_of_both_versions_says_so_in_its_random() -> None:
    # RFC 9846 §4.2.3: the last 8 bytes.
    made = Handshake(client_config(**ONLY_1_2), server_config(**BOTH, groups=ECDHE))
    assert made.complete
    assert made.sent("server", SH)[0].random[-8:] == DOWNGRADE_TLS12
    assert run().sent("server", SH)[0].random[-8:] != DOWNGRADE_TLS12


# ---- choices ----


def test_the_certificate_decides_on_the_suite() -> None:
    both = (credentials("rsa"), credentials())
    made = run(server={"credentials": both})
    assert made.complete and made.client.io.result is not None
    assert made.client.io.result.suite.authentication == "RSA"
    ecdsa = (CipherSuite.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,)
    made = run({"cipher_suites": ecdsa}, {"credentials": both})
    assert made.complete and made.client.io.result is not None
    assert made.client.io.result.suite.id == ecdsa[0]


def test_the_server_name_decides_on_the_certificate() -> None:
    other = pki.issue(("other.example",), key_type="rsa")
    made = run(server={"credentials": (load_credentials(other.chain_pem, other.key_pem), credentials())})
    assert made.complete and made.client.io.result is not None
    assert made.client.io.result.peer_chain == credentials().chain


def test_an_sni_callback_chooses() -> None:
    made = run(server={"sni_callback": lambda name: credentials("rsa") if name == "localhost" else None})
    assert made.complete and made.client.io.result is not None
    assert made.client.io.result.peer_chain == credentials("rsa").chain


def test_no_protocol_in_common() -> None:
    refuses(None, NoApplicationProtocol, "h2", {"alpn_protocols": ("h2",)}, {"alpn_protocols": ("x",)})


def test_rsa_signs_as_the_client_can_verify() -> None:
    rsa = {"credentials": (credentials("rsa"),)}
    made = run(server=rsa)
    assert made.client.io.result is not None
    assert made.client.io.result.signature_scheme == SignatureScheme.rsa_pss_rsae_sha256
    old = (SignatureScheme.rsa_pkcs1_sha512, SignatureScheme.rsa_pkcs1_sha256)
    made = run({"signature_schemes": old}, rsa)
    assert made.client.io.result is not None
    assert made.client.io.result.signature_scheme == SignatureScheme.rsa_pkcs1_sha256


@pytest.mark.parametrize("length", [512, 1024, 2048, 4096])
def test_max_fragment_length(length: int) -> None:
    # RFC 6066 §4; record_size_limit is left out, for it would go before (RFC 8449 §5).
    made = run({"max_fragment_length": length}, edit=extending(E.RECORD_SIZE_LIMIT, None))
    answer = made.sent("server", SH)[0]
    assert answer.extension(E.MAX_FRAGMENT_LENGTH) == ext12.encode_max_fragment_length(length)
    assert answer.extension(E.RECORD_SIZE_LIMIT) is None


def test_record_size_limit_counts_plaintext_and_goes_first() -> None:
    # RFC 8449 §4, §5.
    made = run({"record_size_limit": 100, "max_fragment_length": 512}, {"record_size_limit": 200})
    assert made.complete
    answer = made.sent("server", SH)[0]
    assert answer.extension(E.RECORD_SIZE_LIMIT) == b"\0\xc8"
    assert answer.extension(E.MAX_FRAGMENT_LENGTH) is None
    assert made.server.io.sealers[-1].max_content == 100
    assert made.client.io.sealers[-1].max_content == 200


def test_nothing_is_answered_that_was_not_asked() -> None:
    # RFC 5246 §7.4.1.4: an extension type MUST NOT appear in the ServerHello unless it did in the ClientHello.
    def bare(hello: Any) -> Any:
        for extension in (E.EC_POINT_FORMATS, E.RECORD_SIZE_LIMIT, E.SERVER_NAME, E.SESSION_TICKET):
            hello = with_extension(hello, extension, None)
        return hello

    made = run(None, {"record_size_limit": 100}, from_client(editing(CH, bare, messages=MESSAGES12)))
    assert {code for code, _ in made.sent("server", SH)[0].extensions} == {
        E.RENEGOTIATION_INFO,
        E.EXTENDED_MAIN_SECRET,
    }
    assert made.server.error is None or type(made.server.error) is DecryptError


def test_a_renegotiation_is_not_signalled_as_a_first_handshake() -> None:
    # RFC 5746 §3.7: TLS_EMPTY_RENEGOTIATION_INFO_SCSV in a renegotiation: MUST abort.
    last = Last(b"c" * 12, b"s" * 12, (), Progress(), None)
    again = ServerHandshake(Recorder(), server_config(**ONLY_1_2), SYSTEM, last)
    hello = make_offer(client_config(**ONLY_1_2), HOST, SYSTEM, last.client_verify_data).hello
    again.check_renegotiation(hello)
    scsv = replace(hello, cipher_suites=(*hello.cipher_suites, CipherSuite.TLS_EMPTY_RENEGOTIATION_INFO_SCSV))
    with pytest.raises(HandshakeFailure, match="says it is a first handshake"):
        again.check_renegotiation(scsv)
    # RFC 5746 §3.7: nor without the extension, or with that of a first hello.
    for info in (None, b"\0"):
        with pytest.raises(HandshakeFailure, match="renegotiation_info"):
            again.check_renegotiation(with_extension(hello, E.RENEGOTIATION_INFO, info))


# ---- the client's flight ----


def test_a_certificate_that_signs_nothing_in_tls_1_2() -> None:
    # RFC 5246 §7.4.6: a key of a kind that the CertificateRequest lists.
    refuses(
        changing(CT, entries=credentials("mldsa44", client=True).chain),
        IllegalParameter,
        "signs nothing in TLS 1.2",
        {"credentials": credentials(client=True)},
        asking(),
    )


def test_a_certificate_that_is_required_and_does_not_come() -> None:
    # RFC 5246 §7.4.6: "handshake_failure".
    error = refuses(None, HandshakeFailure, "client certificate is required", server=asking())
    assert error.alert == AlertDescription.HANDSHAKE_FAILURE


def test_a_certificate_of_a_stranger() -> None:
    strangers = TrustAnchors.from_pem(pki.stranger().certificate_pem)
    mine = {"credentials": credentials(client=True)}
    refuses(None, CertificateError, client=mine, server=asking(trust_anchors=strangers))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"scheme": SignatureScheme.ecdsa_sha1}, IllegalParameter),
        ({"scheme": SignatureScheme.rsa_pss_rsae_sha256}, IllegalParameter),
        ({"scheme": SignatureScheme.ecdsa_secp384r1_sha384}, DecryptError),
        ({"signature": b"x"}, DecryptError),
    ],
)
def test_fields_of_the_certificate_verify(fields: dict[str, Any], expected: type[TLSError]) -> None:
    refuses(changing(CV, **fields), expected, "", {"credentials": credentials(client=True)}, asking())


@pytest.mark.parametrize("public", [b"x", bytes(32), b"\1" + bytes(31)])
def test_shares_that_are_none(public: bytes) -> None:
    refuses(changing(CKE, public=public), IllegalParameter)


def test_a_finished_that_does_not_verify() -> None:
    refuses(changing(FIN, verify_data=bytes(12)), DecryptError, "Finished does not verify")
    refuses(changing(FIN, verify_data=bytes(13)), DecodeError, "13 bytes instead of 12")


def test_a_hello_without_any_extension() -> None:
    hello = MESSAGES12[CH].parse(b"\3\3" + bytes(32) + b"\0\0\2\xc0\x2b\1\0").encode()
    io = Recorder()
    side = Side(io, server_handshake(io, server_config(**ONLY_1_2, require_extended_main_secret=False)))
    side.start()
    side.receive(hello)
    # It has no signature_algorithms, so SHA-1 is meant.
    assert type(side.error) is HandshakeFailure


def test_a_client_of_an_older_make_is_told_in_words() -> None:
    # RSA key exchange and CBC: the alert is all that the client hears, the words are for this side.
    error = refuses(changing(CH, cipher_suites=(0x002F, 0xC013)), HandshakeFailure, "the client offers")
    assert "0x002f" in error.message.lower() and "0xc013" in error.message.lower()
    assert error.alert == AlertDescription.HANDSHAKE_FAILURE
