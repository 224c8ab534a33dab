"""Certificates, keys and anchors as `ssl` takes them."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

import tlswrite
from tests.support import contexts, pki
from tests.support.contexts import client_context, objects
from tlswrite.crypto.certificates import is_authority
from tlswrite.errors import ConfigurationError
from tlswrite.stdlib.loading import Anchors, Identities, check_password, read_credentials


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """A key under a password, with its certificate."""
    issued = pki.issue()
    key = issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame"))
    path = tmp_path / "locked.pem"
    path.write_bytes(issued.chain_pem + key)
    return path


def works(server: Any) -> None:
    objects(client_context(ssl.SSLContext), server).handshake()


@pytest.mark.parametrize(
    "password",
    ["open sesame", b"open sesame", bytearray(b"open sesame"), lambda: "open sesame", lambda: b"open sesame"],
)
def test_a_password_comes_in_any_form(cls: Any, locked: Path, password: Any) -> None:
    server = cls(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(locked, password=password)
    works(server)


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("wrong", ssl.SSLError),
        (3, TypeError),
        (lambda: 3, TypeError),
        (lambda: "wrong", ssl.SSLError),
        (lambda: 1 // 0, ZeroDivisionError),
        ("x" * 1025, ValueError),
        (lambda: "x" * 1025, ValueError),
    ],
)
def test_a_password_that_will_not_do(cls: Any, locked: Path, password: Any, expected: Any) -> None:
    with pytest.raises(expected):
        cls(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(locked, password=password)


def test_without_a_password_nobody_is_asked_at_a_terminal(locked: Path) -> None:
    with pytest.raises(ConfigurationError, match="password"):
        tlswrite.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(locked)


def test_a_password_is_asked_for_only_where_it_is_needed(cls: Any, files: pki.Files) -> None:
    def ask() -> str:
        raise AssertionError("nothing is encrypted")

    cls(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certfile, files.keyfile, ask)


@pytest.mark.parametrize("make", [str, os.fsencode, Path])
def test_paths_come_in_any_form(cls: Any, files: pki.Files, make: Any) -> None:
    server = cls(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(make(files.certfile), make(files.keyfile))
    works(server)
    client = cls(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(make(files.cafile))
    objects(client, server).handshake()


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview, lambda pem: pem.decode()])
def test_text_does_where_a_path_would(make: Any) -> None:
    issued = pki.issue()
    server = tlswrite.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(make(issued.chain_pem), make(issued.key_pem))
    works(server)


@pytest.mark.parametrize(
    "mistake", ["no key", "no certificate", "no key in the key's", "another key", "an end of a certificate"]
)
def test_files_that_do_not_hold_what_they_should(cls: Any, files: pki.Files, mistake: str) -> None:
    certfile, keyfile = {
        "no key": (files.certfile, None),
        "no certificate": (files.keyfile, None),
        "no key in the key's": (files.certfile, files.certfile),
        "another key": (files.cafile, files.keyfile),
        "an end of a certificate": (files.certfile, files.keyfile),
    }[mistake]
    if mistake == "an end of a certificate":
        files.certfile.write_bytes(files.certfile.read_bytes()[:200])
    with pytest.raises(ssl.SSLError):
        cls(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certfile, keyfile)


def test_one_that_fails_leaves_what_was_there(cls: Any, files: pki.Files) -> None:
    server = cls(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.certfile, files.keyfile)
    with pytest.raises(OSError):
        server.load_cert_chain("nowhere")
    works(server)


@pytest.mark.parametrize(
    "cadata",
    [
        contexts.anchors_pem(),
        pki.authority().certificate_der,
        memoryview(pki.authority().certificate_der),
        pki.stranger().certificate_der + pki.authority().certificate_der,
    ],
    ids=["text", "DER", "view", "two"],
)
def test_anchors_from_memory(cls: Any, files: pki.Files, cadata: Any) -> None:
    client, server = cls(ssl.PROTOCOL_TLS_CLIENT), cls(ssl.PROTOCOL_TLS_SERVER)
    client.load_verify_locations(cadata=cadata)
    server.load_cert_chain(files.certfile, files.keyfile)
    objects(client, server).handshake()


def test_anchors_may_be_pem_in_bytes() -> None:
    anchors = Anchors()
    anchors.add(None, None, contexts.anchors_pem().encode())
    assert len(anchors.anchors.certificates) == 1


@pytest.mark.parametrize("cut", [1, 100, -1])
def test_der_that_is_cut_off_is_refused_whole(cls: Any, cut: int) -> None:
    context = cls(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ssl.SSLError):
        context.load_verify_locations(cadata=pki.authority().certificate_der[:cut])
    assert context.cert_store_stats()["x509"] == 0


def test_anchors_from_a_directory(cls: Any, files: pki.Files, tmp_path: Path) -> None:
    directory = tmp_path / "anchors"
    directory.mkdir()
    (directory / f"{_hash(files.cafile)}.0").write_bytes(files.cafile.read_bytes())
    client, server = cls(ssl.PROTOCOL_TLS_CLIENT), cls(ssl.PROTOCOL_TLS_SERVER)
    client.load_verify_locations(capath=directory)
    server.load_cert_chain(files.certfile, files.keyfile)
    objects(client, server).handshake()


def _hash(cafile: Path) -> str:
    import subprocess

    done = subprocess.run(
        ["openssl", "x509", "-noout", "-hash", "-in", str(cafile)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_systems_anchors_are_those_of_the_environment(
    cls: Any, files: pki.Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(files.cafile))
    client, server = cls(ssl.PROTOCOL_TLS_CLIENT), cls(ssl.PROTOCOL_TLS_SERVER)
    client.load_default_certs()
    server.load_cert_chain(files.certfile, files.keyfile)
    objects(client, server).handshake()


def test_the_environment_counts_when_they_are_loaded(
    cls: Any, files: pki.Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(files.cafile))
        client = cls(ssl.PROTOCOL_TLS_CLIENT)
        client.set_default_verify_paths()
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    server = cls(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.certfile, files.keyfile)
    objects(client, server).handshake()


def test_one_set_of_the_systems_is_shared(files: pki.Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(files.cafile))
    first, second = Anchors(), Anchors()
    first.add_system()
    second.add_system()
    assert first.anchors is second.anchors
    second.add(None, None, pki.stranger().certificate_der)
    assert len(second.anchors.certificates) == len(first.anchors.certificates) + 1


def test_one_of_each_kind_of_key_is_kept() -> None:
    identities = Identities()
    for kind in ("rsa", "rsa_pss", "ecdsa_secp256r1", "ecdsa_secp384r1", "ed25519"):
        issued = pki.issue(key_type=kind)
        identities.add(read_credentials(issued.chain_pem, issued.key_pem, None))
    assert len(identities.all) == 4
    assert pki.issue(key_type="ecdsa_secp384r1").certificate_der in [each.chain[0] for each in identities.all]


def test_no_password_is_none() -> None:
    assert check_password(None) is None


@given(st.binary(min_size=1, max_size=64), st.booleans())
def test_any_bytes_are_anchors_or_an_error(data: bytes, behind: bool) -> None:
    try:
        Anchors().add(None, None, pki.authority().certificate_der + data if behind else data)
    except ConfigurationError:
        return
    raise AssertionError("no certificate is that short")


@given(st.integers(0, 2**16), st.integers(1, 255))
def test_a_changed_byte_is_no_crash(at: int, flip: int) -> None:
    load_changed(at, flip)


def test_the_lowest_bit_of_every_byte() -> None:
    # The parser has exceptions of its own, among others for a version that is none.
    for at in range(len(pki.authority().certificate_der)):
        load_changed(at, 1)


def load_changed(at: int, flip: int) -> None:
    der = bytearray(pki.authority().certificate_der)
    der[at % len(der)] ^= flip
    anchors = Anchors()
    try:
        anchors.add(None, None, bytes(der))
    except ConfigurationError:
        return
    assert [type(is_authority(each)) for each in anchors.anchors.certificates] == [bool]


def test_what_is_an_authority() -> None:
    anchors = Anchors()
    anchors.add(None, None, pki.authority().certificate_der + pki.issue().certificate_der)
    assert [is_authority(each) for each in anchors.anchors.certificates] == [True, False]
