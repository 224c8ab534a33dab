"""SSLContext beside the standard library's: the same values, the same exceptions, the same connections."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import tlswrite
from tests.support import chains, contexts, pki
from tests.support.contexts import client_context, objects, server_context
from tlswrite.errors import ConfigurationError
from tlswrite.stdlib import InstalledContext

#: Names that come from the standard library's class as they are: the real context in ours holds them.
INHERITED = {
    "check_hostname",
    "hostname_checks_common_name",
    "load_default_certs",
    "num_tickets",
    "post_handshake_auth",
    "protocol",
    "security_level",
    "set_servername_callback",
    "wrap_bio",
}


def test_every_public_name_is_ours_or_inherited_on_purpose() -> None:
    ours = {
        name
        for each in tlswrite.SSLContext.__mro__
        if each.__module__.startswith("tlswrite.")
        for name in vars(each)
    }
    public = {name for name in dir(ssl.SSLContext) if not name.startswith("_")}
    assert public - ours == INHERITED & public
    # What newer versions of Python have is there on every one.
    assert {
        "set_groups",
        "get_groups",
        "set_ciphersuites",
        "set_server_sigalgs",
        "set_client_sigalgs",
    } <= ours
    assert {"set_psk_client_callback", "set_psk_server_callback"} <= ours


def test_it_is_an_ssl_context(cls: Any) -> None:
    assert isinstance(client_context(cls), ssl.SSLContext)


PLAIN = (
    "options",
    "verify_mode",
    "verify_flags",
    "check_hostname",
    "minimum_version",
    "maximum_version",
    "protocol",
    "num_tickets",
    "post_handshake_auth",
    "security_level",
    "hostname_checks_common_name",
    "sni_callback",
    "keylog_filename",
)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("protocol", [ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLS_SERVER])
def test_plain_settings_begin_as_the_standard_library_has_them(name: str, protocol: Any) -> None:
    ours, reference = tlswrite.SSLContext(protocol), contexts.strict(ssl.SSLContext(protocol))
    assert getattr(ours, name) == getattr(reference, name)
    assert type(getattr(ours, name)) is type(getattr(reference, name))


@pytest.mark.parametrize("purpose", [ssl.Purpose.SERVER_AUTH, ssl.Purpose.CLIENT_AUTH])
def test_default_contexts_have_the_standard_librarys_settings(purpose: ssl.Purpose) -> None:
    ours = tlswrite.create_default_context(purpose)
    reference = contexts.strict(ssl.create_default_context(purpose))
    assert [getattr(ours, name) for name in PLAIN] == [getattr(reference, name) for name in PLAIN]


def test_a_default_context_refuses_another_purpose() -> None:
    for make in (ssl.create_default_context, tlswrite.create_default_context):
        with pytest.raises(TypeError):
            make("server")


def test_a_default_context_logs_keys_where_the_environment_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = str(tmp_path / "keys.log")
    monkeypatch.setenv("SSLKEYLOGFILE", name)
    context = tlswrite.create_default_context(cadata=contexts.anchors_pem())
    assert context.keylog_filename == name
    context.keylog_filename = None


#: What goes wrong, and with what: the message counts where the standard library's is a plain one.
MISTAKES: dict[str, tuple[Callable[[Any, Any], Any], type[Exception]]] = {
    "nothing to load": (lambda c, s: c.load_verify_locations(), TypeError),
    "empty text": (lambda c, s: c.load_verify_locations(cadata=""), ValueError),
    "empty bytes": (lambda c, s: c.load_verify_locations(cadata=b""), ValueError),
    "text without certificate": (lambda c, s: c.load_verify_locations(cadata="junk"), ssl.SSLError),
    "bytes without certificate": (lambda c, s: c.load_verify_locations(cadata=b"junk"), ssl.SSLError),
    "text that is not ASCII": (lambda c, s: c.load_verify_locations(cadata="é"), TypeError),
    "data that is none": (lambda c, s: c.load_verify_locations(cadata=3.5), TypeError),
    "a cafile that is no path": (lambda c, s: c.load_verify_locations(cafile=1), TypeError),
    "a cafile that is not there": (lambda c, s: c.load_verify_locations("nowhere"), FileNotFoundError),
    "a certfile that is not there": (lambda c, s: s.load_cert_chain("nowhere"), FileNotFoundError),
    "no certfile": (lambda c, s: s.load_cert_chain(None), TypeError),
    "ciphers that are none": (lambda c, s: c.set_ciphers("junk"), ssl.SSLError),
    "ciphers that are no text": (lambda c, s: c.set_ciphers(3), TypeError),
    "a curve that is none": (lambda c, s: c.set_ecdh_curve("junk"), ValueError),
    "an empty protocol name": (lambda c, s: c.set_alpn_protocols([""]), ssl.SSLError),
    "a long protocol name": (lambda c, s: c.set_alpn_protocols(["x" * 256]), ssl.SSLError),
    "a protocol in bytes": (lambda c, s: c.set_alpn_protocols([b"h2"]), TypeError),
    "a protocol that is not ASCII": (lambda c, s: c.set_alpn_protocols(["é"]), UnicodeEncodeError),
    "no verification of a name": (lambda c, s: setattr(c, "verify_mode", ssl.CERT_NONE), ValueError),
    "a mode that is none": (lambda c, s: setattr(c, "verify_mode", 9), ValueError),
    "tickets of a client": (lambda c, s: setattr(c, "num_tickets", 3), ValueError),
    "tickets below zero": (lambda c, s: setattr(s, "num_tickets", -1), ValueError),
    "a version that is none": (lambda c, s: setattr(c, "minimum_version", 5), ValueError),
    "a callback of a client": (lambda c, s: setattr(c, "sni_callback", print), ValueError),
    "a callback that is none": (lambda c, s: setattr(s, "sni_callback", 3), TypeError),
    "an old callback that is none": (lambda c, s: s.set_servername_callback(3), TypeError),
    "a purpose that is none": (lambda c, s: c.load_default_certs(3), TypeError),
    "a key log that is no path": (lambda c, s: setattr(c, "keylog_filename", 1), TypeError),
    "the wrong side, a server": (lambda c, s: objects(c, c), ssl.SSLError),
    "the wrong side, a client": (lambda c, s: objects(s, s, host=None), ssl.SSLError),
    "an empty name": (lambda c, s: objects(_nameless(c), s, host=""), ValueError),
    "no BIO": (lambda c, s: c.wrap_bio(1, 2, server_hostname="x"), TypeError),
}


def _nameless(context: Any) -> Any:
    context.check_hostname = False
    return context


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_meets_the_exception_of_the_standard_library(
    mistake: str, cls: Any, files: pki.Files
) -> None:
    make, expected = MISTAKES[mistake]
    with pytest.raises(expected):
        make(client_context(cls), server_context(cls, files))


def test_a_directory_that_is_not_there_holds_nothing(cls: Any) -> None:
    context = client_context(cls, trusting=False)
    context.load_verify_locations(capath="nowhere")
    assert context.cert_store_stats() == {"x509": 0, "crl": 0, "x509_ca": 0}


def test_anchors_add_up_and_are_shown(cls: Any) -> None:
    context = client_context(cls)
    context.load_verify_locations(cadata=pki.stranger().certificate_der)
    assert context.cert_store_stats() == {"x509": 2, "crl": 0, "x509_ca": 2}
    assert set(context.get_ca_certs(binary_form=True)) == {
        pki.authority().certificate_der,
        pki.stranger().certificate_der,
    }
    reference = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    reference.load_verify_locations(cadata=contexts.anchors_pem())
    assert reference.get_ca_certs()[0] in context.get_ca_certs()


# ---- connections ------------------------------------------------------------------------------------------


def test_without_anchors_nobody_is_trusted(cls: Any, files: pki.Files) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        objects(client_context(cls, trusting=False), server_context(cls, files)).handshake()


def test_a_wrong_name_is_refused(cls: Any, files: pki.Files) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        objects(client_context(cls), server_context(cls, files), host="elsewhere.example").handshake()


def test_a_common_name_counts_for_nothing(tmp_path: Path) -> None:
    files = pki.write(tmp_path, pki.common_name_alone())
    context = client_context()
    assert context.hostname_checks_common_name
    with pytest.raises(ssl.SSLCertVerificationError, match="elsewhere"):
        objects(context, server_context(tlswrite.SSLContext, files)).handshake()


@pytest.mark.parametrize("side", ["server", "client"])
def test_a_strict_verification_holds_certificates_to_the_rfc(
    cls: Any, files: pki.Files, tmp_path: Path, side: str
) -> None:
    root = chains.root()
    made = chains.leaf(root, contexts.HOST, purposes=(*chains.SERVER, *chains.CLIENT), key_identifiers=False)
    chain = tmp_path / "chain.pem"
    chain.write_bytes(made.pem + made.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    client, server = client_context(cls), server_context(cls, files)
    shown, verifies = (server, client) if side == "server" else (client, server)
    shown.load_cert_chain(chain)
    verifies.load_verify_locations(cadata=root.pem.decode())
    verifies.verify_mode = ssl.CERT_REQUIRED
    verifies.verify_flags &= ~ssl.VERIFY_X509_STRICT
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    objects(client, server).handshake()
    # Also where this very chain was found good a moment ago.
    verifies.verify_flags |= ssl.VERIFY_X509_STRICT
    with pytest.raises(ssl.SSLCertVerificationError, match=r"(?i)authority key identifier"):
        objects(client, server).handshake()


def test_without_verification_everybody_will_do(cls: Any, files: pki.Files) -> None:
    context = client_context(cls, trusting=False)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    pair = objects(context, server_context(cls, files), host=None).handshake()
    assert pair.client.getpeercert() == {}
    assert pair.client.getpeercert(True) == pki.issue().certificate_der


def test_turning_the_name_on_turns_verification_on(cls: Any) -> None:
    context = client_context(cls)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.check_hostname = True
    assert context.verify_mode == ssl.CERT_REQUIRED


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("way", ["versions", "options"])
def test_versions_and_options_choose_the_version(cls: Any, files: pki.Files, version: str, way: str) -> None:
    if way == "options" and version == "TLSv1.3":
        # With TLS 1.2 switched off by an option alone, some builds of `ssl` offer nothing else either.
        contexts.skip_old_reference(cls)
    client = client_context(cls)
    if way == "versions":
        client.minimum_version = client.maximum_version = ssl.TLSVersion[version.replace(".", "_")]
    else:
        client.options |= ssl.OP_NO_TLSv1_3 if version == "TLSv1.2" else ssl.OP_NO_TLSv1_2
    pair = objects(client, server_context(cls, files)).handshake()
    assert pair.client.version() == pair.server.version() == version


@pytest.mark.parametrize("server_class", contexts.CLASSES)
def test_both_classes_talk_to_each_other(cls: Any, server_class: Any, files: pki.Files) -> None:
    client, server = client_context(cls), server_context(server_class, files)
    client.set_alpn_protocols(["h2", "http/1.1"])
    server.set_alpn_protocols(["http/1.1"])
    pair = objects(client, server).handshake()
    assert pair.client.selected_alpn_protocol() == pair.server.selected_alpn_protocol() == "http/1.1"
    pair.client.write(b"there")
    assert pair.server.read() == b"there"
    pair.server.write(b"back")
    assert pair.client.read() == b"back"


def test_no_protocol_in_common_ends_the_handshake(files: pki.Files) -> None:
    # The standard library goes on without one; RFC 7301 §3.2 has it end.
    client, server = client_context(), server_context(tlswrite.SSLContext, files)
    client.set_alpn_protocols(["h2"])
    server.set_alpn_protocols(["http/1.1"])
    with pytest.raises(ssl.SSLError, match="no application protocol in common"):
        objects(client, server).handshake()


def test_suites_of_tls12_are_chosen_by_openssls_names(cls: Any, files: pki.Files) -> None:
    client = client_context(cls)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers("ECDHE+CHACHA20")
    pair = objects(client, server_context(cls, files)).handshake()
    assert pair.client.cipher() == ("ECDHE-ECDSA-CHACHA20-POLY1305", "TLSv1.2", 256)


def test_get_ciphers_tells_what_is_done_here() -> None:
    context, reference = client_context(), client_context(ssl.SSLContext)
    known = {cipher["name"]: cipher for cipher in reference.get_ciphers()}
    assert [known[cipher["name"]] for cipher in context.get_ciphers()] == context.get_ciphers()
    context.set_ciphers("ECDHE+AESGCM:!ECDSA")
    context.set_ciphersuites("TLS_AES_128_GCM_SHA256")
    assert [cipher["name"] for cipher in context.get_ciphers()] == [
        "TLS_AES_128_GCM_SHA256",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES128-GCM-SHA256",
    ]


def test_suites_that_are_not_done_here_are_no_choice() -> None:
    with pytest.raises(ssl.SSLError, match="No cipher can be selected"):
        client_context().set_ciphers("AES128-SHA")
    with pytest.raises(ssl.SSLError, match="No cipher can be selected"):
        client_context().set_ciphersuites("TLS_AES_128_CCM_SHA256")


def test_groups_and_schemes_are_chosen_by_name(files: pki.Files) -> None:
    client, server = client_context(), server_context(tlswrite.SSLContext, files)
    client.set_ecdh_curve("prime256v1")
    assert client.get_groups() == ["secp256r1"]
    server.set_groups("P-384:?unheard:P-256")
    assert server.get_groups() == ["secp384r1", "secp256r1"]
    client.set_server_sigalgs("ecdsa_secp256r1_sha256")
    pair = objects(client, server).handshake()
    assert pair.client.group() == "secp256r1"  # type: ignore[attr-defined]
    client.set_server_sigalgs("ed25519")
    with pytest.raises(ssl.SSLError, match="no signature scheme in common"):
        objects(client, server).handshake()


@pytest.mark.parametrize("kind", ["rsa", "ecdsa_secp256r1"])
def test_two_kinds_of_key_serve_two_kinds_of_clients(cls: Any, tmp_path: Path, kind: str) -> None:
    server = cls(ssl.PROTOCOL_TLS_SERVER)
    for each in ("rsa", "ecdsa_secp256r1"):
        files = pki.write(tmp_path, pki.issue(key_type=each), each)
        server.load_cert_chain(files.certfile, files.keyfile)
    client = client_context(cls)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers("ECDHE+AESGCM+aRSA" if kind == "rsa" else "ECDHE+AESGCM+aECDSA")
    pair = objects(client, server).handshake()
    assert pair.client.getpeercert(True) == pki.issue(key_type=kind).certificate_der


def test_another_key_of_the_same_kind_takes_the_place_of_the_first(cls: Any, tmp_path: Path) -> None:
    server = cls(ssl.PROTOCOL_TLS_SERVER)
    for name in ("first.example", contexts.HOST):
        files = pki.write(tmp_path, pki.issue((name,)), name)
        server.load_cert_chain(files.certfile, files.keyfile)
    pair = objects(client_context(cls), server).handshake()
    assert pair.client.getpeercert(True) == pki.issue((contexts.HOST,)).certificate_der


def test_a_server_without_certificate_is_told_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="load_cert_chain"):
        objects(client_context(), tlswrite.SSLContext(ssl.PROTOCOL_TLS_SERVER))


@pytest.mark.parametrize("mode", [ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED])
def test_a_client_shows_its_certificate(cls: Any, files: pki.Files, tmp_path: Path, mode: Any) -> None:
    own = pki.write(tmp_path, pki.issue(("a client",), client=True), "client")
    client, server = client_context(cls), server_context(cls, files)
    client.load_cert_chain(own.certfile, own.keyfile)
    server.load_verify_locations(files.cafile)
    server.verify_mode = mode
    pair = objects(client, server).handshake()
    assert pair.server.getpeercert(True) == pki.issue(("a client",), client=True).certificate_der


def test_settings_count_from_the_next_connection_on(cls: Any, files: pki.Files) -> None:
    client, server = client_context(cls), server_context(cls, files)
    assert objects(client, server).handshake().client.version() == "TLSv1.3"
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    assert objects(client, server).handshake().client.version() == "TLSv1.2"


def test_one_configuration_serves_until_something_changes(files: pki.Files) -> None:
    server = server_context(tlswrite.SSLContext, files)
    config = server.new_connection(server_side=True).config
    assert server.new_connection(server_side=True).config is config
    server.options |= ssl.OP_NO_TICKET
    assert server.new_connection(server_side=True).config is not config


@pytest.mark.parametrize(
    "change",
    [
        lambda c: setattr(c, "verify_mode", ssl.CERT_REQUIRED),
        lambda c: c.load_verify_locations(cadata=contexts.anchors_pem()),
    ],
    ids=["plain", "own"],
)
def test_a_setting_that_comes_while_a_configuration_is_made_is_not_forgotten(
    files: pki.Files, change: Callable[[Any], Any]
) -> None:
    """Threads share contexts: what is made of settings from before must not be kept for those from after."""

    class Interrupted(tlswrite.SSLContext):
        def _fields(self, mode: Any) -> dict[str, Any]:
            fields = super()._fields(mode)
            if changes:
                # Here another thread has its turn, and makes a connection too.
                changes.pop()(self)
                self.new_connection(server_side=True)
            return fields

    changes: list[Callable[[Any], Any]] = []
    server = server_context(Interrupted, files)
    server.verify_mode = ssl.CERT_NONE
    changes.append(change)
    server.new_connection(server_side=True)
    config = server.new_connection(server_side=True).config
    assert config.verify_mode == server.verify_mode
    assert len(config.trust_anchors.certificates) == server.cert_store_stats()["x509"]


# ---- tickets, counts, later authentication -------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 3])
def test_num_tickets_is_the_number_of_tickets(cls: Any, files: pki.Files, count: int) -> None:
    server = server_context(cls, files)
    server.num_tickets = count
    pair = objects(client_context(ssl.SSLContext), server).handshake()
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.read()
    session = pair.client.session
    assert session is not None
    assert session.has_ticket == bool(count)


def test_session_stats_count_handshakes(cls: Any, files: pki.Files) -> None:
    client, server = client_context(cls), server_context(cls, files)
    server.new_connection(server_side=True) if cls is tlswrite.SSLContext else None
    objects(client, server).handshake()
    stats = server.session_stats()
    assert set(stats) == set(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).session_stats())
    assert (stats["accept"], stats["accept_good"], stats["hits"]) == (1, 1, 0)
    assert (client.session_stats()["connect"], client.session_stats()["connect_good"]) == (1, 1)


@pytest.mark.parametrize("mode", [ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED])
def test_a_certificate_is_asked_for_later(cls: Any, files: pki.Files, tmp_path: Path, mode: Any) -> None:
    own = pki.write(tmp_path, pki.issue(("a client",), client=True), "client")
    client, server = client_context(cls), server_context(cls, files)
    client.load_cert_chain(own.certfile, own.keyfile)
    client.post_handshake_auth = server.post_handshake_auth = True
    server.load_verify_locations(files.cafile)
    server.verify_mode = mode
    pair = objects(client, server).handshake()
    pair.client.write(b"anonymous")
    assert pair.server.read() == b"anonymous"
    assert pair.server.getpeercert() is None
    pair.server.verify_client_post_handshake()
    pair.server.write(b"who are you?")
    assert pair.client.read() == b"who are you?"
    pair.client.write(b"me")
    assert pair.server.read() == b"me"
    assert pair.server.getpeercert(True) == pki.issue(("a client",), client=True).certificate_der


def test_tls12_asks_at_once_since_it_has_no_later(cls: Any, files: pki.Files, tmp_path: Path) -> None:
    own = pki.write(tmp_path, pki.issue(("a client",), client=True), "client")
    client, server = client_context(cls), server_context(cls, files)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.load_cert_chain(own.certfile, own.keyfile)
    server.post_handshake_auth = True
    server.load_verify_locations(files.cafile)
    server.verify_mode = ssl.CERT_REQUIRED
    pair = objects(client, server).handshake()
    assert pair.server.getpeercert(True) == pki.issue(("a client",), client=True).certificate_der


def test_a_certificate_that_is_insisted_on_later_must_come(cls: Any, files: pki.Files) -> None:
    client, server = client_context(cls), server_context(cls, files)
    client.post_handshake_auth = server.post_handshake_auth = True
    server.load_verify_locations(files.cafile)
    server.verify_mode = ssl.CERT_REQUIRED
    pair = objects(client, server).handshake()
    pair.server.verify_client_post_handshake()
    pair.server.write(b"who are you?")
    assert pair.client.read() == b"who are you?"
    pair.client.write(b"nobody")
    with pytest.raises(ssl.SSLError):
        pair.server.read()


# ---- what cannot be had ----------------------------------------------------------------------------------------

REFUSED: dict[str, Callable[[Any], Any]] = {
    "a maximum below TLS 1.2": lambda c: setattr(c, "maximum_version", ssl.TLSVersion.MINIMUM_SUPPORTED),
    "no version": lambda c: setattr(c, "options", c.options | ssl.OP_NO_TLSv1_2 | ssl.OP_NO_TLSv1_3),
    "revocation lists": lambda c: setattr(c, "verify_flags", ssl.VERIFY_CRL_CHECK_LEAF),
    "more revocation lists": lambda c: setattr(c, "verify_flags", ssl.VERIFY_CRL_CHECK_CHAIN),
    "certificate policies": lambda c: setattr(c, "verify_flags", c.verify_flags | 0x80),
    "Suite B": lambda c: setattr(c, "verify_flags", c.verify_flags | 0x10000),
    "a higher security level": lambda c: c.set_ciphers("DEFAULT@SECLEVEL=3"),
    "finite-field groups": lambda c: c.load_dh_params("dh.pem"),
    "a client's keys in common": lambda c: c.set_psk_client_callback(lambda hint: (None, b"")),
    "a server's keys in common": lambda c: c.set_psk_server_callback(lambda name: b""),
    "schemes of one side alone": lambda c: c.set_client_sigalgs("ed25519"),
    "messages": lambda c: setattr(c, "_msg_callback", print),
    "an object of OpenSSL's": lambda c: c._wrap_socket(None, False),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_had_is_refused_with_a_reason(what: str) -> None:
    context = client_context()
    with pytest.raises(NotImplementedError) as caught:
        REFUSED[what](context)
    assert len(str(caught.value)) > 20
    assert context.refusal is None


def test_npn_is_refused_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="NPN"), pytest.raises(NotImplementedError):
        client_context().set_npn_protocols(["x"])


@pytest.mark.parametrize("name", ["PROTOCOL_SSLv3", "PROTOCOL_TLSv1", "PROTOCOL_TLSv1_1"])
def test_old_protocols_are_refused(name: str) -> None:
    if hasattr(ssl, name):
        with pytest.raises(NotImplementedError, match="not done here"):
            tlswrite.SSLContext(getattr(ssl, name))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_protocol_of_tls12_alone_is_that(cls: Any, files: pki.Files) -> None:
    server = cls(ssl.PROTOCOL_TLSv1_2)
    assert server.protocol == ssl.PROTOCOL_TLSv1_2
    server.load_cert_chain(files.certfile, files.keyfile)
    assert objects(client_context(cls), server).handshake().client.version() == "TLSv1.2"


def test_no_protocol_is_any_with_a_warning(cls: Any, files: pki.Files) -> None:
    with pytest.warns(DeprecationWarning):
        both = cls()
    assert both.protocol == ssl.PROTOCOL_TLS
    assert (both.verify_mode, both.check_hostname) == (ssl.CERT_NONE, False)
    both.load_cert_chain(files.certfile, files.keyfile)
    assert objects(both, both, host=None).handshake().client.version() == "TLSv1.3"


def test_a_subclass_is_itself(cls: Any) -> None:
    class Own(cls):  # type: ignore[misc]
        pass

    assert type(Own(ssl.PROTOCOL_TLS_CLIENT)) is Own


def test_the_context_leaves_asyncio_out() -> None:
    import subprocess

    code = "import sys, tlswrite; tlswrite.SSLContext; print('asyncio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_wrap_bio_of_the_applications_own_is_not_gone_round() -> None:
    class Own(tlswrite.SSLContext):
        def wrap_bio(self, *args: Any, **kwargs: Any) -> Any:
            return super().wrap_bio(*args, **kwargs)

    assert "wrap_bio of its own" in (Own(ssl.PROTOCOL_TLS_CLIENT).refusal or "")
    for cls in (tlswrite.SSLContext, InstalledContext):
        context: Any = cls(ssl.PROTOCOL_TLS_CLIENT)
        assert context.refusal is None
        context.wrap_bio = context.wrap_bio
        assert "wrap_bio of its own" in context.refusal


@pytest.mark.parametrize("where", ["class", "instance"])
def test_an_object_class_of_the_applications_own_is_not_gone_round(files: pki.Files, where: str) -> None:
    class Pinning(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            raise ssl.SSLCertVerificationError("not the certificate that it was")

    class Own(tlswrite.SSLContext):
        sslobject_class = Pinning if where == "class" else tlswrite.SSLContext.sslobject_class

    context = client_context(Own)
    context.sslobject_class = Pinning
    assert "sslobject_class of its own" in (context.refusal or "")
    with pytest.raises(ssl.SSLCertVerificationError, match="not the certificate"):
        objects(context, server_context(tlswrite.SSLContext, files)).handshake()
