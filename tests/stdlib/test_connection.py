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


def switching(server: Any, other: Any, when: str) -> Any:
    """`server`'s objects take `other`, in the SNI callback or before the handshake."""

    def choose(sock: Any, name: str | None, context: Any) -> None:
        sock.context = other

    if when == "callback":
        server.sni_callback = choose
    return lambda pair: choose(pair.server, None, None) if when == "before" else None


@pytest.mark.parametrize("when", ["callback", "before"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_another_context_does_not_let_in_whom_the_first_would_not(
    cls: Any, files: pki.Files, version: ssl.TLSVersion, when: str
) -> None:
    server, other = (server_context(cls, files) for _ in range(2))
    server.load_verify_locations(files.cafile)
    server.verify_mode = ssl.CERT_REQUIRED
    switch = switching(server, other, when)
    client = client_context(cls)
    client.maximum_version = version
    pair = objects(client, server)
    switch(pair)
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate"):
        pair.handshake()


@pytest.mark.parametrize("when", ["callback", "before"])
def test_another_context_does_not_put_off_till_later_what_the_first_wants_at_once(
    files: pki.Files, when: str
) -> None:
    server, other = (server_context(tlswrite.SSLContext, files) for _ in range(2))
    for each in (server, other):
        each.load_verify_locations(files.cafile)
        each.verify_mode = ssl.CERT_REQUIRED
    other.post_handshake_auth = True
    switch = switching(server, other, when)
    client = client_context()
    client.post_handshake_auth = True
    pair = objects(client, server)
    switch(pair)
    with pytest.raises(ssl.SSLError, match="certificate"):
        pair.handshake()


def test_what_the_other_context_wants_later_is_asked_for_later(files: pki.Files, tmp_path: Path) -> None:
    own = pki.write(tmp_path, pki.issue(("a client",), client=True), "client")
    server, other = (server_context(tlswrite.SSLContext, files) for _ in range(2))
    other.load_verify_locations(files.cafile)
    other.verify_mode = ssl.CERT_REQUIRED
    other.post_handshake_auth = True
    switching(server, other, "callback")
    client = client_context()
    client.post_handshake_auth = True
    client.load_cert_chain(own.certfile, own.keyfile)
    pair = objects(client, server).handshake()
    assert pair.server.getpeercert(True) is None
    pair.server.verify_client_post_handshake()
    pair.server.write(b"who are you?")
    assert pair.client.read() == b"who are you?"
    pair.client.write(b"me")
    assert pair.server.read() == b"me"
    assert pair.server.getpeercert(True) == pki.issue(("a client",), client=True).certificate_der


def test_another_context_of_a_client_gives_up_no_verification(cls: Any, files: pki.Files) -> None:
    other = cls(ssl.PROTOCOL_TLS_CLIENT)
    other.check_hostname = False
    other.verify_mode = ssl.CERT_NONE
    pair = objects(client_context(cls, trusting=False), server_context(cls, files))
    pair.client.context = other
    with pytest.raises(ssl.SSLCertVerificationError):
        pair.handshake()


def test_another_context_of_a_client_does_not_forget_the_name(cls: Any, files: pki.Files) -> None:
    other = client_context(cls)
    other.check_hostname = False
    pair = objects(client_context(cls), server_context(cls, files), host="other.example")
    pair.client.context = other
    with pytest.raises(ssl.SSLCertVerificationError):
        pair.handshake()


def test_another_context_that_checks_names_needs_one(files: pki.Files) -> None:
    nameless = client_context()
    nameless.check_hostname = False
    pair = objects(nameless, server_context(tlswrite.SSLContext, files), host=None)
    with pytest.raises(ValueError, match="check_hostname requires server_hostname"):
        pair.client.context = client_context()


def test_another_context_does_not_bring_back_a_version(cls: Any, files: pki.Files) -> None:
    strict = client_context(cls)
    strict.minimum_version = ssl.TLSVersion.TLSv1_3
    server = server_context(cls, files)
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    pair = objects(strict, server)
    pair.client.context = client_context(cls)
    with pytest.raises(ssl.SSLError):
        pair.handshake()


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
