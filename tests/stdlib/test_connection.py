"""Connections of a context: the SNI callback, other contexts, what a transport shows of them."""

from __future__ import annotations

import gc
import ssl
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest

import tlswrite
from tests.support import contexts, pki
from tests.support.contexts import client_context, objects, server_context
from tests.support.pump import Pair


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was reported to `sys.unraisablehook`: exceptions and objects."""
    seen: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: seen.append((args.exc_value, repr(args.object))))
    return seen


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_callback_sees_the_name_and_chooses_a_context(
    cls: Any, files: pki.Files, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    other_files = pki.write(tmp_path, pki.issue(("other.example",)), "other")
    server, other = server_context(cls, files), server_context(cls, other_files)
    seen: list[Any] = []

    def choose(sock: Any, name: str | None, context: Any) -> None:
        seen.append((sock, name, context))
        if name == "other.example":
            sock.context = other

    server.sni_callback = choose
    assert server.sni_callback is choose
    client = client_context(cls)
    client.maximum_version = version
    pair = objects(client, server, host="other.example").handshake()
    assert seen == [(pair.server, "other.example", server)]
    assert pair.server.context is other
    assert pair.client.getpeercert(True) == pki.issue(("other.example",)).certificate_der
    pair = objects(client, server).handshake()
    assert pair.server.context is server
    assert pair.client.getpeercert(True) == pki.issue().certificate_der


def test_the_callback_is_told_where_there_is_no_name(cls: Any, files: pki.Files) -> None:
    server, client = server_context(cls, files), client_context(cls)
    client.check_hostname = False
    seen: list[Any] = []
    server.set_servername_callback(lambda sock, name, context: seen.append(name))
    objects(client, server, host=None).handshake()
    assert seen == ([None] if server.sni_callback is None else seen)
    server.set_servername_callback(None)
    assert server.sni_callback is None


@pytest.mark.parametrize(
    ("answer", "alert"),
    [
        (ssl.AlertDescription.ALERT_DESCRIPTION_ACCESS_DENIED, "access.denied"),
        (int(ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME), "unrecognized.name"),
    ],
)
def test_a_number_is_the_alert_that_ends_the_handshake(
    cls: Any, files: pki.Files, answer: int, alert: str
) -> None:
    server = server_context(cls, files)
    server.sni_callback = lambda *_: answer
    pair = objects(client_context(ssl.SSLContext), server)
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.do_handshake()
    with pytest.raises(ssl.SSLError):
        pair.server.do_handshake()
    with pytest.raises(ssl.SSLError, match=f"(?i){alert}"):
        pair.client.do_handshake()


def test_a_callback_that_raises_is_reported_and_ends_the_handshake(
    cls: Any, files: pki.Files, unraisable: list[Any]
) -> None:
    def choose(*_: Any) -> None:
        raise ZeroDivisionError("in the callback")

    server = server_context(cls, files)
    server.sni_callback = choose
    pair = objects(client_context(ssl.SSLContext), server)
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.do_handshake()
    with pytest.raises(ssl.SSLError):
        pair.server.do_handshake()
    assert [(str(error), "choose" in name) for error, name in unraisable] == [("in the callback", True)]
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
        pair.client.do_handshake()


def test_an_answer_that_is_no_alert_is_reported(cls: Any, files: pki.Files, unraisable: list[Any]) -> None:
    server = server_context(cls, files)
    server.sni_callback = lambda *_: "go away"
    pair = objects(client_context(ssl.SSLContext), server)
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.do_handshake()
    with pytest.raises(ssl.SSLError):
        pair.server.do_handshake()
    assert len(unraisable) == 1
    with pytest.raises(ssl.SSLError, match=r"(?i)internal.error"):
        pair.client.do_handshake()


def test_the_chosen_contexts_anchors_verify_the_client(files: pki.Files, tmp_path: Path) -> None:
    own = pki.write(tmp_path, pki.issue(("a client",), client=True), "client")
    server, other = (server_context(tlswrite.SSLContext, files) for _ in range(2))
    other.load_verify_locations(files.cafile)
    other.verify_mode = ssl.CERT_REQUIRED

    def choose(sock: Any, name: str | None, context: Any) -> None:
        sock.context = other

    server.sni_callback = choose
    client = client_context()
    client.load_cert_chain(own.certfile, own.keyfile)
    pair = objects(client, server).handshake()
    issued = pki.issue(("a client",), client=True)
    assert pair.server.get_verified_chain() == [issued.certificate_der, pki.authority().certificate_der]  # type: ignore[attr-defined]


def test_a_context_set_before_the_handshake_is_the_one(files: pki.Files, tmp_path: Path) -> None:
    other = server_context(tlswrite.SSLContext, pki.write(tmp_path, pki.issue((contexts.HOST,)), "other"))
    pair = objects(client_context(), server_context(tlswrite.SSLContext, files))
    pair.server.context = other
    pair.handshake()
    assert pair.client.getpeercert(True) == pki.issue((contexts.HOST,)).certificate_der


@pytest.mark.parametrize("value", [3, None])
def test_a_context_must_be_one(cls: Any, files: pki.Files, value: Any) -> None:
    pair = objects(client_context(cls), server_context(cls, files))
    with pytest.raises(TypeError):
        pair.server.context = value


def test_a_connection_with_a_callback_is_freed_by_counting_references(files: pki.Files) -> None:
    server = server_context(tlswrite.SSLContext, files)
    server.sni_callback = lambda *_: None
    pair = objects(client_context(), server).handshake()
    references = [weakref.ref(side._sslobj.connection) for side in (pair.client, pair.server)]  # type: ignore[attr-defined]
    gc.disable()
    try:
        del pair
        assert [reference() for reference in references] == [None, None]
    finally:
        gc.enable()


# ---- what a transport's connection shows -----------------------------------------------------------------------


def driven(files: pki.Files) -> Pair:
    client, server = client_context(), server_context(tlswrite.SSLContext, files)
    pair = Pair(
        client.new_connection(server_side=False, server_hostname=contexts.HOST),
        server.new_connection(server_side=True),
    )
    pair.handshake()
    return pair


def test_what_a_transport_shows_tells_everything_and_moves_nothing(files: pki.Files) -> None:
    pair = driven(files)
    shown = pair.client.connection.ssl_object
    assert isinstance(shown, ssl.SSLObject)
    assert isinstance(pair.client.connection.sslcontext, tlswrite.SSLContext)
    assert shown.context is pair.client.connection.sslcontext
    assert (shown.version(), shown.cipher()) == (
        pair.client.connection.version(),
        pair.client.connection.cipher(),
    )
    assert (shown.server_side, shown.server_hostname) == (False, contexts.HOST)
    assert shown.getpeercert(True) == pki.issue().certificate_der
    assert shown.get_verified_chain() == [pki.issue().certificate_der, pki.authority().certificate_der]
    assert shown.get_unverified_chain() == [pki.issue().certificate_der]
    assert shown.get_channel_binding("tls-exporter") == pair.server.connection.ssl_object.get_channel_binding(
        "tls-exporter"
    )
    assert (shown.compression(), shown.session_reused, shown.selected_alpn_protocol()) == (None, False, None)
    assert shown.cipher() in pair.server.connection.ssl_object.shared_ciphers()
    for call in (shown.read, lambda: shown.write(b"x"), shown.do_handshake, shown.unwrap):
        with pytest.raises(ValueError, match="transport"):
            call()


def test_shared_ciphers_are_what_both_have(cls: Any, files: pki.Files) -> None:
    client, server = client_context(cls), server_context(cls, files)
    client.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    pair = objects(client, server)
    # Before 3.11.4 `ssl` gave what the server has, at any time.
    old = cls is ssl.SSLContext and sys.version_info < (3, 11, 4)
    assert old or pair.server.shared_ciphers() is None
    pair.handshake()
    assert pair.client.shared_ciphers() is None or cls is ssl.SSLContext
    shared = pair.server.shared_ciphers()
    assert shared is not None
    assert old or set(shared) == {
        ("TLS_AES_128_GCM_SHA256", "TLSv1.3", 128),
        ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256),
        ("TLS_CHACHA20_POLY1305_SHA256", "TLSv1.3", 256),
        ("ECDHE-ECDSA-AES128-GCM-SHA256", "TLSv1.2", 128),
    }


@pytest.mark.parametrize("damage", [b"", b"\x21" + bytes(33), bytes(1) + b"\xff\xff"])
def test_a_malformed_hello_has_no_suites(damage: bytes) -> None:
    from tlswrite.stdlib.connection import _suites_of

    assert _suites_of(bytes(38) + damage) == frozenset()


def test_a_second_hello_does_not_ask_again(cls: Any, files: pki.Files, tmp_path: Path) -> None:
    other = server_context(cls, pki.write(tmp_path, pki.issue(("other.example",)), "other"))
    server = server_context(cls, files)
    asked: list[Any] = []

    def choose(sock: Any, name: str | None, context: Any) -> None:
        asked.append(name)
        sock.context = other

    server.sni_callback = choose
    for each in (server, other):
        # No client here sends a share of it at once, so there is a HelloRetryRequest.
        each.set_ecdh_curve("secp384r1")
    pair = objects(client_context(cls), server, host="other.example").handshake()
    assert pair.client.version() == "TLSv1.3"
    assert asked == ["other.example"] or cls is ssl.SSLContext
    assert pair.client.getpeercert(True) == pki.issue(("other.example",)).certificate_der
