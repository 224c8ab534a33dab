"""Stapled OCSP responses, from other implementations and to them, in both versions."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.ocsp import OCSPCertStatus

from tests.interop.base import HOST, LIMIT, NAME, dial
from tests.interop.process import Child
from tests.support.ocsp import BY_NAME, GOOD, REVOKED, delegate, leaf, leaf_credentials, respond, root, trust
from tests.support.ports import free_port
from tests.support.pump import Link
from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.connection import TLSConnection
from tlswrite.errors import AlertReceived, CertificateError, TLSError, WantReadError
from tlswrite.iana import ProtocolVersion

VERSIONS = (ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_3)
GNUTLS = {ProtocolVersion.TLS_1_2: "NORMAL:-VERS-ALL:+VERS-TLS1.2", ProtocolVersion.TLS_1_3: "NORMAL"}
OPENSSL = {ProtocolVersion.TLS_1_2: "-tls1_2", ProtocolVersion.TLS_1_3: "-tls1_3"}

both_versions = pytest.mark.parametrize("version", VERSIONS, ids=["TLS 1.2", "TLS 1.3"])
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command")
needs_gnutls = pytest.mark.skipif(shutil.which("gnutls-cli") is None, reason="no gnutls-cli")


class Files:
    """What programs want as files: certificate, key, root and response."""

    def __init__(self, directory: Path, response: bytes, *, client: bool = False) -> None:
        made = leaf(client=client)
        self.certfile = self._write(directory / "leaf.pem", made.chain_pem)
        self.keyfile = self._write(directory / "leaf.key", made.key_pem)
        self.cafile = self._write(directory / "root.pem", root().root_pem)
        self.response = self._write(directory / "response.der", response)

    @staticmethod
    def _write(path: Path, content: bytes) -> Path:
        path.write_bytes(content)
        return path


def our_client(version: ProtocolVersion, **fields: Any) -> TLSConnection:
    config = ClientConfig(minimum_version=version, maximum_version=version, trust_anchors=trust(), **fields)
    return TLSConnection(config, server_hostname=NAME)


def our_server(version: ProtocolVersion, response: bytes | None, **fields: Any) -> TLSConnection:
    credentials = (leaf_credentials(response),)
    return TLSConnection(
        ServerConfig(minimum_version=version, maximum_version=version, credentials=credentials, **fields)
    )


@contextlib.contextmanager
def serving(
    arguments: list[Any], port: int, connection: TLSConnection, directory: Path
) -> Iterator[tuple[Link, Child]]:
    """A program that is a server, and our client connected to it."""
    with Child(arguments, cwd=directory) as child:
        sock = dial(port, lambda: child.process.poll() is None)
        with Link(connection, sock, LIMIT) as link:
            yield link, child


@contextlib.contextmanager
def connecting(
    arguments: Callable[[int], list[Any]], connection: TLSConnection, directory: Path
) -> Iterator[tuple[Link, Child]]:
    """Our server, and a program that is a client connected to it."""
    with socket.create_server((HOST, 0)) as listener:
        listener.settimeout(LIMIT)
        with (
            Child(arguments(listener.getsockname()[1]), cwd=directory) as child,
            Link(connection, listener.accept()[0], LIMIT) as link,
        ):
            yield link, child


# ---- OpenSSL ----------------------------------------------------------------------------------------


def s_server(version: ProtocolVersion, files: Files, port: int) -> list[Any]:
    arguments = ["openssl", "s_server", OPENSSL[version], "-accept", f"{HOST}:{port}", "-naccept", "1"]
    return [*arguments, "-cert", files.certfile, "-key", files.keyfile, "-status_file", files.response]


def s_client(version: ProtocolVersion, files: Files, port: int) -> list[Any]:
    arguments = ["openssl", "s_client", OPENSSL[version], "-connect", f"{HOST}:{port}", "-servername", NAME]
    return [*arguments, "-CAfile", files.cafile, "-verify_return_error", "-status"]


@needs_openssl
@both_versions
@pytest.mark.parametrize("delegated", [False, True])
def test_openssl_staples_to_us(version: ProtocolVersion, delegated: bool, tmp_path: Path) -> None:
    response = respond(signer=delegate() if delegated else None)
    port = free_port()
    connection = our_client(version, require_ocsp_status=True)
    with serving(s_server(version, Files(tmp_path, response), port), port, connection, tmp_path) as (link, _):
        link.handshake()
        assert connection.ocsp_response == response


@needs_openssl
@both_versions
def test_openssl_staples_that_it_is_revoked(version: ProtocolVersion, tmp_path: Path) -> None:
    port = free_port()
    files = Files(tmp_path, respond(status=REVOKED))
    with serving(s_server(version, files, port), port, our_client(version), tmp_path) as (link, child):
        with pytest.raises(CertificateError, match="was revoked"):
            link.handshake()
        child.wait_for(rb"alert certificate revoked")


@needs_openssl
@both_versions
def test_we_staple_to_openssl(version: ProtocolVersion, tmp_path: Path) -> None:
    files = Files(tmp_path, respond())
    connection = our_server(version, files.response.read_bytes())
    with connecting(lambda port: s_client(version, files, port), connection, tmp_path) as (link, child):
        link.handshake()
        child.wait_for(rb"OCSP Response Status: successful \(0x0\)")
        child.wait_for(rb"Cert Status: good")
        child.wait_for(rb"Verify return code: 0 \(ok\)")


@needs_openssl
@both_versions
def test_we_have_nothing_to_staple_to_openssl(version: ProtocolVersion, tmp_path: Path) -> None:
    files = Files(tmp_path, respond())
    with connecting(lambda port: s_client(version, files, port), our_server(version, None), tmp_path) as (
        link,
        child,
    ):
        link.handshake()
        child.wait_for(rb"OCSP response: no response sent")
        child.wait_for(rb"Verify return code: 0 \(ok\)")


# ---- GnuTLS -----------------------------------------------------------------------------------------


def gnutls_serv(version: ProtocolVersion, files: Files, port: int) -> list[Any]:
    arguments = ["gnutls-serv", "--echo", "--nodb", "--port", port, "--priority", GNUTLS[version]]
    arguments += [
        "--x509certfile",
        files.certfile,
        "--x509keyfile",
        files.keyfile,
        "--x509cafile",
        files.cafile,
    ]
    return [*arguments, "--ocsp-response", files.response]


def gnutls_cli(version: ProtocolVersion, files: Files, port: int) -> list[Any]:
    arguments = ["gnutls-cli", "--port", port, "--priority", GNUTLS[version], "--x509cafile", files.cafile]
    return [*arguments, "--sni-hostname", NAME, "--verify-hostname", NAME, "--save-ocsp", "saved.der", HOST]


@needs_gnutls
@both_versions
def test_gnutls_staples_to_us(version: ProtocolVersion, tmp_path: Path) -> None:
    response = respond()
    port = free_port()
    arguments = [*gnutls_serv(version, Files(tmp_path, response), port), "-a"]
    connection = our_client(version, require_ocsp_status=True)
    with serving(arguments, port, connection, tmp_path) as (link, _):
        link.handshake()
        assert connection.ocsp_response == response


@needs_gnutls
@both_versions
def test_we_staple_to_gnutls(version: ProtocolVersion, tmp_path: Path) -> None:
    # GnuTLS finds an authority that signs for itself by its name only.
    response = respond(encoding=BY_NAME)
    files = Files(tmp_path, response)
    connection = our_server(version, response)
    with connecting(lambda port: gnutls_cli(version, files, port), connection, tmp_path) as (link, child):
        link.handshake()
        child.wait_for(rb"The certificate is trusted")
        child.wait_for(rb"Handshake was completed")
        assert (tmp_path / "saved.der").read_bytes() == response


@needs_gnutls
@both_versions
def test_we_staple_to_gnutls_that_the_certificate_is_revoked(
    version: ProtocolVersion, tmp_path: Path
) -> None:
    """What we send is what the peer judges."""
    files = Files(tmp_path, respond(status=REVOKED, encoding=BY_NAME))
    connection = our_server(version, files.response.read_bytes())
    with connecting(lambda port: gnutls_cli(version, files, port), connection, tmp_path) as (link, child):
        with contextlib.suppress(TLSError):
            link.handshake()
        child.wait_for(rb"[Rr]evoked")


@needs_gnutls
@pytest.mark.parametrize("status", [GOOD, REVOKED], ids=["good", "revoked"])
def test_gnutls_asks_for_the_status_of_our_client(status: OCSPCertStatus, tmp_path: Path) -> None:
    port = free_port()
    arguments = gnutls_serv(ProtocolVersion.TLS_1_3, Files(tmp_path, respond()), port)
    arguments += ["--require-client-cert", "--verify-client-cert"]
    response = respond(about=leaf(client=True), status=status, encoding=BY_NAME)
    own = leaf_credentials(response, client=True)
    connection = our_client(ProtocolVersion.TLS_1_3, credentials=own)
    with serving(arguments, port, connection, tmp_path) as (link, _):
        if status is GOOD:
            assert link.exchange(b"there and back\n", 15) == b"there and back\n"
        else:
            with pytest.raises(AlertReceived):
                link.exchange(b"there and back\n", 15)


# ---- clients that we ask ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "program",
    [pytest.param(s_client, marks=needs_openssl), pytest.param(gnutls_cli, marks=needs_gnutls)],
)
def test_clients_that_have_no_status_bear_to_be_asked(
    program: Callable[[ProtocolVersion, Files, int], list[Any]], tmp_path: Path
) -> None:
    version = ProtocolVersion.TLS_1_3
    files = Files(tmp_path, respond(), client=True)
    own = ["-cert", files.certfile, "-key", files.keyfile]
    if program is gnutls_cli:
        own = ["--x509certfile", files.certfile, "--x509keyfile", files.keyfile]
    connection = our_server(
        version, None, verify_mode=ssl.CERT_REQUIRED, trust_anchors=trust(), status_request=True
    )

    def arguments(port: int) -> list[Any]:
        first, *rest = program(version, files, port)
        return [first, *rest[:-1], *own, rest[-1]] if program is gnutls_cli else [first, *rest, *own]

    with connecting(arguments, connection, tmp_path) as (link, _):
        link.handshake()
        assert connection.getpeercert(True) == leaf(client=True).der
        assert connection.ocsp_response is None


# ---- pyOpenSSL --------------------------------------------------------------------------------------


def pyopenssl(version: ProtocolVersion, set_up: Callable[[Any], None]) -> Any:
    """A connection of its, over memory."""
    SSL = pytest.importorskip("OpenSSL.SSL")
    context = SSL.Context(SSL.TLS_METHOD)
    number = SSL.TLS1_2_VERSION if version == ProtocolVersion.TLS_1_2 else SSL.TLS1_3_VERSION
    context.set_min_proto_version(number)
    context.set_max_proto_version(number)
    set_up(context)
    return SSL.Connection(context, None)


def converse(ours: TLSConnection, theirs: Any) -> None:
    """Both handshakes to their ends; raises what ours raises."""
    from OpenSSL import SSL

    for _ in range(20):
        with contextlib.suppress(WantReadError):
            ours.do_handshake()
        if data := ours.bio_read(1 << 20):
            theirs.bio_write(data)
        with contextlib.suppress(SSL.WantReadError):
            theirs.do_handshake()
        with contextlib.suppress(SSL.WantReadError):
            ours.bio_write(theirs.bio_read(1 << 20))
    assert ours.handshake_complete


@both_versions
def test_pyopenssl_staples_to_us(version: ProtocolVersion, tmp_path: Path) -> None:
    response = respond()
    files = Files(tmp_path, response)

    def set_up(context: Any) -> None:
        context.use_certificate_chain_file(str(files.certfile))
        context.use_privatekey_file(str(files.keyfile))
        context.set_ocsp_server_callback(lambda connection, data: response)

    theirs = pyopenssl(version, set_up)
    theirs.set_accept_state()
    ours = our_client(version, require_ocsp_status=True)
    converse(ours, theirs)
    assert ours.ocsp_response == response


@both_versions
def test_we_staple_to_pyopenssl(version: ProtocolVersion) -> None:
    response = respond()
    seen: list[bytes] = []

    def judge(connection: Any, received: bytes, data: Any) -> bool:
        seen.append(received)
        return True

    theirs = pyopenssl(version, lambda context: context.set_ocsp_client_callback(judge))
    theirs.request_ocsp()
    theirs.set_connect_state()
    converse(our_server(version, response), theirs)
    assert seen == [response]
