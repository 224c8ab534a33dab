"""A context that falls back to OpenSSL, and says so."""

from __future__ import annotations

import socket
import ssl
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

import tlswrite
from tests.support import contexts, pki
from tests.support.contexts import client_context, objects, server_context, sockets
from tests.support.threads import Aside
from tlswrite.errors import ConfigurationError
from tlswrite.stdlib import InstalledContext, SSLSocket, StaysOnOpenSSLWarning
from tlswrite.stdlib.plain import STANDARD, set_options
from tlswrite.stdlib.settings import RAW


@pytest.fixture
def in_place(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The class under the standard library's name, as `tlswrite.install` puts it there."""
    monkeypatch.setattr(ssl, "SSLContext", InstalledContext)
    yield


FALLS: dict[str, Callable[[Any], Any]] = {
    "an old version": lambda c: setattr(c, "maximum_version", ssl.TLSVersion.TLSv1_1),
    "no new version": lambda c: setattr(c, "options", c.options | ssl.OP_NO_TLSv1_2 | ssl.OP_NO_TLSv1_3),
    "revocation lists": lambda c: setattr(c, "verify_flags", c.verify_flags | ssl.VERIFY_CRL_CHECK_LEAF),
    "certificate policies": lambda c: setattr(c, "verify_flags", c.verify_flags | 0x80),
    "a higher security level": lambda c: c.set_ciphers("DEFAULT@SECLEVEL=4"),
    "old suites": lambda c: c.set_ciphers("AES128-SHA"),
    "another curve": lambda c: c.set_ecdh_curve("secp256k1"),
    "messages": lambda c: setattr(c, "_msg_callback", lambda *_: None),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("what", FALLS)
def test_what_cannot_be_had_stays_on_openssl_and_says_so_once(what: str) -> None:
    context = client_context(InstalledContext)
    assert context.refusal is None
    with pytest.warns(StaysOnOpenSSLWarning, match="stays on OpenSSL: ") as caught:
        FALLS[what](context)
        FALLS[what](context)
    mine = [each for each in caught if each.category is StaysOnOpenSSLWarning]
    assert len(mine) == 1
    assert context.refusal is not None and context.refusal in str(mine[0].message)
    with pytest.raises(ConfigurationError, match="stays on OpenSSL"):
        context.new_connection(server_side=False, server_hostname="x")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["PROTOCOL_TLSv1", "PROTOCOL_TLSv1_1"])
def test_an_old_protocol_stays_on_openssl(name: str) -> None:
    protocol = getattr(ssl, name, None)
    if protocol is None:
        return
    with pytest.warns(StaysOnOpenSSLWarning, match="TLSv1"):
        context: Any = InstalledContext(protocol)
    assert context.protocol == protocol
    assert context.refusal is not None


def falling(context: Any) -> Any:
    """The same, on OpenSSL from now on."""
    with pytest.warns(StaysOnOpenSSLWarning):
        context._msg_callback = lambda *_: None
    context._msg_callback = None
    return context


@pytest.mark.parametrize("when", ["callback", "before"])
def test_a_connection_takes_no_settings_of_a_context_that_stays_on_openssl(
    files: pki.Files, when: str
) -> None:
    """It asks for what is not done here, so a connection of this package's must not be made by it."""
    server, other = (server_context(InstalledContext, files) for _ in range(2))
    with pytest.warns(StaysOnOpenSSLWarning):
        other.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    if when == "callback":
        server.sni_callback = lambda sock, name, context: setattr(sock, "context", other)
        with pytest.raises(ssl.SSLError, match="stays on OpenSSL"):
            objects(client_context(InstalledContext), server).handshake()
    else:
        pair = objects(client_context(InstalledContext), server)
        with pytest.raises(ssl.SSLError, match="stays on OpenSSL"):
            pair.server.context = other
        assert pair.handshake().server.context is server


def test_everything_that_was_set_before_counts_afterwards(files: pki.Files, tmp_path: Path) -> None:
    own = pki.write(tmp_path, pki.issue(("a client",), client=True), "client")
    client, server = client_context(InstalledContext), server_context(InstalledContext, files)
    client.load_cert_chain(own.certfile, own.keyfile)
    client.set_alpn_protocols(iter(["h2", "http/1.1"]))
    client.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.keylog_filename = str(tmp_path / "keys.log")
    server.load_verify_locations(files.cafile)
    server.verify_mode = ssl.CERT_REQUIRED
    server.set_alpn_protocols(["http/1.1"])
    seen: list[Any] = []
    server.sni_callback = lambda sock, name, context: seen.append(name)
    for stay in (False, True):
        if stay:
            falling(client)
            falling(server)
        pair = objects(client, server).handshake()
        assert pair.client.cipher() == ("ECDHE-ECDSA-AES128-GCM-SHA256", "TLSv1.2", 128)
        assert pair.client.selected_alpn_protocol() == "http/1.1"
        assert pair.server.getpeercert(True) == pki.issue(("a client",), client=True).certificate_der
        assert (type(pair.client) is ssl.SSLObject) is stay
        assert len(client.get_ciphers()) > 0 and client.get_ca_certs(True)
        assert client.cert_store_stats()["x509_ca"] == 1
        assert client.session_stats()["connect_good"] == 1
    assert seen == [contexts.HOST] * 2
    lines = (tmp_path / "keys.log").read_text().splitlines()
    assert sum(line.startswith("CLIENT_RANDOM ") for line in lines) == 2
    client.keylog_filename = None


def test_sockets_are_this_packages_until_it_falls(files: pki.Files) -> None:
    client, server = client_context(InstalledContext), server_context(InstalledContext, files)
    with sockets(client, server) as pair:
        assert {type(each) for each in pair} == {SSLSocket}
    with sockets(falling(client), server) as (near, far):
        assert type(near) is ssl.SSLSocket and type(far) is SSLSocket
        near.sendall(b"from OpenSSL")
        assert far.recv() == b"from OpenSSL"


def test_positional_arguments_mean_the_same_on_openssl(files: pki.Files) -> None:
    context = falling(server_context(InstalledContext, files))
    first, second = socket.socketpair()
    with second, context.wrap_socket(first, True, False, False) as sock:
        assert (sock.server_side, sock.do_handshake_on_connect, sock.suppress_ragged_eofs) == (
            True,
            False,
            False,
        )


@pytest.mark.parametrize("calls", [("set_ciphers", "ECDHE+AESGCM"), ("set_alpn_protocols", ["h2"])])
def test_what_is_set_afterwards_is_openssls(calls: Any) -> None:
    context = falling(client_context(InstalledContext))
    name, argument = calls
    getattr(context, name)(argument)
    with pytest.raises((ssl.SSLError, TypeError)):
        getattr(context, name)("junk" if name == "set_ciphers" else [b""])


def test_a_key_that_only_openssl_takes_falls_back(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256K1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(pki.authority().certificate.subject)
        .issuer_name(pki.authority().certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(pki.NOW - pki.DAY)
        .not_valid_after(pki.NOW + pki.DAY)
        .sign(pki.authority().key, hashes.SHA256())
    )
    path = tmp_path / "odd.pem"
    path.write_bytes(
        certificate.public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    context: Any = InstalledContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.warns(StaysOnOpenSSLWarning):
        context.load_cert_chain(path)


def test_what_neither_takes_is_openssls_error(files: pki.Files) -> None:
    context: Any = InstalledContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(ssl.SSLError):
        context.load_cert_chain(files.certfile)
    with pytest.raises(FileNotFoundError):
        context.load_cert_chain("nowhere")
    with pytest.raises(ValueError, match="unknown elliptic curve"):
        context.set_ecdh_curve("junk")
    with pytest.raises(TypeError):
        context.load_verify_locations()
    assert context.refusal is None


def test_a_password_is_asked_for_once(tmp_path: Path) -> None:
    issued = pki.issue()
    key = issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"sesame"))
    path = tmp_path / "locked.pem"
    path.write_bytes(issued.chain_pem + key)
    asked: list[int] = []

    def ask() -> str:
        asked.append(1)
        return "sesame"

    context: Any = InstalledContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, password=ask)
    assert asked == [1]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="Python has no pre-shared keys before 3.13")
def test_pre_shared_keys_stay_on_openssl() -> None:
    for protocol, name in (
        (ssl.PROTOCOL_TLS_CLIENT, "set_psk_client_callback"),
        (ssl.PROTOCOL_TLS_SERVER, "set_psk_server_callback"),
    ):
        context: Any = InstalledContext(protocol)
        getattr(context, name)(None)
        assert context.refusal is None
        with pytest.warns(StaysOnOpenSSLWarning, match="pre-shared"):
            getattr(context, name)(lambda *_: (None, b""))


# ---- in the place of ssl.SSLContext --------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [True, False])
def test_options_that_were_set_are_what_openssl_gets(asked: bool) -> None:
    """Whether an end without close_notify is told is for the application to say, if it says something."""
    ended_alike = 0x80

    class OfAnotherBuild(InstalledContext):
        def _begin(self) -> None:
            # SSL_OP_IGNORE_UNEXPECTED_EOF in every context, as some builds of Python have it.
            set_options(self, RAW["options"](self) | ended_alike)
            super()._begin()

    context = OfAnotherBuild(ssl.PROTOCOL_TLS_CLIENT)
    if asked:
        context.options &= ~ended_alike
    assert bool(falling(context).options & ended_alike) is not asked


def test_every_plain_setting_can_be_set_under_the_standard_name(in_place: None) -> None:
    for protocol in (ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLS_SERVER):
        context = ssl.SSLContext(protocol)
        assert type(context) is InstalledContext
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.options |= ssl.OP_NO_TICKET
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.hostname_checks_common_name = False
        if protocol == ssl.PROTOCOL_TLS_SERVER:
            context.set_servername_callback(None)
        context._msg_callback = None  # type: ignore[attr-defined]


def test_helpers_of_the_standard_library_make_it(in_place: None, files: pki.Files) -> None:
    made = [ssl.create_default_context(cafile=str(files.cafile)), ssl._create_unverified_context()]
    assert [type(each) for each in made] == [InstalledContext] * 2
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(files.certfile, files.keyfile)
    assert objects(made[0], server).handshake().client.version() == "TLSv1.3"


def test_contexts_from_before_are_what_the_name_says(in_place: None) -> None:
    before = STANDARD(ssl.PROTOCOL_TLS_CLIENT)
    assert isinstance(before, ssl.SSLContext) and issubclass(STANDARD, ssl.SSLContext)
    assert not isinstance(3, ssl.SSLContext)
    assert isinstance(tlswrite.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext)


def test_classes_derived_from_it_are_not_everything(in_place: None) -> None:
    class Own(ssl.SSLContext):
        pass

    assert not isinstance(STANDARD(ssl.PROTOCOL_TLS_CLIENT), Own)
    assert not isinstance(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), Own)
    assert isinstance(Own(ssl.PROTOCOL_TLS_CLIENT), Own) and isinstance(
        Own(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext
    )


def test_a_context_that_works_warns_of_nothing(in_place: None, files: pki.Files) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client = ssl.create_default_context(cafile=str(files.cafile))
        client.set_ciphers("DEFAULT")
        client.set_alpn_protocols(["h2"])


def test_get_server_certificate(in_place: None, files: pki.Files) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(contexts.TIMEOUT)
        server = server_context(tlswrite.SSLContext, files).wrap_socket(listener, server_side=True)
        accepting = Aside(server.accept)
        with server:
            pem = ssl.get_server_certificate(server.getsockname(), ca_certs=str(files.cafile), timeout=20)
            accepting.result()[0].close()
    assert ssl.PEM_cert_to_DER_cert(pem) == pki.issue().certificate_der


def test_openssl_loads_the_systems_anchors_when_it_takes_over_and_not_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    roots = tmp_path / "roots.pem"
    roots.write_bytes(pki.authority().certificate_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(roots))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    context = InstalledContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    assert context.cert_store_stats()["x509"] == 1
    assert STANDARD.cert_store_stats(context)["x509"] == 0
    with pytest.warns(StaysOnOpenSSLWarning):
        FALLS["revocation lists"](context)
    assert STANDARD.cert_store_stats(context)["x509"] == 1
    late = InstalledContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.warns(StaysOnOpenSSLWarning):
        FALLS["revocation lists"](late)
    late.set_default_verify_paths()
    assert STANDARD.cert_store_stats(late)["x509"] == 1
