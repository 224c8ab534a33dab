"""Sessions of other implementations, and theirs of ours: both versions, both directions."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import OpenSSL
import pytest

from tests.interop import test_go, test_jsse, test_nss
from tests.interop.base import HOST, LIMIT, NAME, Missing, dial
from tests.interop.process import Child
from tests.support.pki import Files, authority, issue, write
from tests.support.ports import free_port
from tests.support.pump import Link, Pair
from tlswrite.config import ClientConfig, ServerConfig
from tlswrite.connection import TLSConnection
from tlswrite.crypto.tickets import TicketKeys
from tlswrite.crypto.trust import TrustAnchors
from tlswrite.crypto.x509 import load_credentials
from tlswrite.errors import WantReadError, ZeroReturnError
from tlswrite.iana import ProtocolVersion

TLS_1_2, TLS_1_3 = ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_3
LINE = b"a line\n"
VISITS = 3

both_versions = pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3], ids=["TLS 1.2", "TLS 1.3"])


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"no {program} command")


def our_client_config(version: ProtocolVersion) -> ClientConfig:
    anchors = TrustAnchors.from_pem(authority().certificate_pem)
    return ClientConfig(minimum_version=version, maximum_version=version, trust_anchors=anchors)


def our_server_config(version: ProtocolVersion, **fields: Any) -> ServerConfig:
    made = issue()
    return ServerConfig(
        minimum_version=version,
        maximum_version=version,
        credentials=(load_credentials(made.chain_pem, made.key_pem),),
        **fields,
    )


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return write(tmp_path, issue(), "server")


def visit(
    port: int,
    config: ClientConfig,
    alive: Callable[[], bool],
    said: bytes = LINE,
    heard: bytes = LINE,
) -> bool:
    """Our client says something and hears the answer; whether it resumed."""
    with Link(TLSConnection(config, server_hostname=NAME), dial(port, alive), LIMIT) as link:
        link.handshake()
        link.send(said)
        assert link.recv_until(heard).endswith(heard)
        link.close()
        return link.connection.session_reused  # type: ignore[no-any-return]  # a TLSConnection's


def visited(listener: socket.socket, config: ServerConfig, *, first: bool = False) -> bool:
    """Our server answers a line with itself, or says one first; whether it resumed."""
    with Link(TLSConnection(config), listener.accept()[0], LIMIT) as link:
        link.handshake()
        if first:
            link.send(LINE)
        else:
            link.send(link.recv_until(b"\n"))
        link.close()
        return link.connection.session_reused  # type: ignore[no-any-return]  # a TLSConnection's


@contextlib.contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.create_server((HOST, 0)) as listener:
        listener.settimeout(LIMIT)
        yield listener


def first_full(resumed: list[bool]) -> None:
    assert resumed == [False] + [True] * (len(resumed) - 1)


# ---- OpenSSL's command ------------------------------------------------------------------------------------


@needs("openssl")
@both_versions
@pytest.mark.parametrize("stateful", [False, True], ids=["tickets", "ids"])
def test_our_client_and_openssl(
    version: ProtocolVersion, stateful: bool, files: Files, tmp_path: Path
) -> None:
    port = free_port()
    arguments = ["openssl", "s_server", "-accept", f"{HOST}:{port}", "-rev", "-quiet"]
    arguments += ["-cert", files.certfile, "-key", files.keyfile]
    arguments += ["-tls1_2" if version == TLS_1_2 else "-tls1_3"]
    # Without tickets: session ids in TLS 1.2, tickets that are no more than ids in TLS 1.3.
    arguments += ["-no_ticket"] if stateful else []
    config = our_client_config(version)
    with Child(arguments, cwd=tmp_path) as child:
        alive = lambda: child.process.poll() is None  # noqa: E731  # a word for a question
        heard = LINE.strip()[::-1] + b"\n"
        first_full([visit(port, config, alive, heard=heard) for _ in range(VISITS)])


@needs("openssl")
@both_versions
@pytest.mark.parametrize("stateful", [False, True], ids=["tickets", "ids"])
def test_openssl_and_our_server(
    version: ProtocolVersion, stateful: bool, files: Files, tmp_path: Path
) -> None:
    config = our_server_config(version)
    resumed = []
    with listening() as listener:
        port = listener.getsockname()[1]
        for number in range(VISITS):
            arguments = ["openssl", "s_client", "-connect", f"{HOST}:{port}", "-servername", NAME]
            arguments += ["-CAfile", files.cafile, "-verify_return_error"]
            arguments += ["-tls1_2" if version == TLS_1_2 else "-tls1_3"]
            arguments += ["-no_ticket"] if stateful else []
            arguments += ["-sess_out", tmp_path / "session"]
            arguments += ["-sess_in", tmp_path / "session"] if number else []
            with Child(arguments, cwd=tmp_path) as child:
                child.write(LINE)
                resumed.append(visited(listener, config))
                assert child.exit_status() == 0, child.stderr
                assert (b"Reused, TLSv1" in child.stdout) == resumed[-1]
    first_full(resumed)


# ---- libraries of Python: OpenSSL 3 and 4 -------------------------------------------------------------------


class StandardEnd:
    """An `ssl.SSLObject` with the names of our engine."""

    def __init__(self, context: ssl.SSLContext, session: Any = None, *, server: bool) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server,
            server_hostname=None if server else NAME,
            session=session,
        )

    @property
    def reused(self) -> bool | None:
        return self.object.session_reused

    def do_handshake(self) -> None:
        with _wants():
            self.object.do_handshake()

    def read(self, size: int) -> bytes:
        with _wants():
            return self.object.read(size)

    def write(self, data: bytes) -> int:
        return self.object.write(data)

    def close(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            self.object.unwrap()

    def bio_read(self, size: int) -> bytes:
        return self._outgoing.read(size)

    def bio_write(self, data: bytes) -> int:
        return self._incoming.write(data)


class PyOpenSSLEnd:
    """A pyOpenSSL connection with the names of our engine."""

    #: It cannot tell.
    reused = None

    def __init__(self, context: OpenSSL.SSL.Context, session: Any = None, *, server: bool) -> None:
        self.object = OpenSSL.SSL.Connection(context, None)
        if server:
            self.object.set_accept_state()
        else:
            self.object.set_connect_state()
            self.object.set_tlsext_host_name(NAME.encode())
            if session is not None:
                self.object.set_session(session)

    def do_handshake(self) -> None:
        with _wants():
            self.object.do_handshake()

    def read(self, size: int) -> bytes:
        with _wants():
            return self.object.recv(size)

    def write(self, data: bytes) -> int:
        return self.object.send(data)

    def close(self) -> None:
        # OpenSSL resumes no session whose connection was not shut down.
        self.object.shutdown()

    def bio_read(self, size: int) -> bytes:
        try:
            return self.object.bio_read(size)
        except OpenSSL.SSL.WantReadError:
            return b""

    def bio_write(self, data: bytes) -> int:
        return self.object.bio_write(data)


@contextlib.contextmanager
def _wants() -> Iterator[None]:
    try:
        yield
    except (ssl.SSLWantReadError, OpenSSL.SSL.WantReadError):
        raise WantReadError from None
    except (ssl.SSLZeroReturnError, OpenSSL.SSL.ZeroReturnError):
        raise ZeroReturnError from None


def standard_context(version: ProtocolVersion, files: Files, *, server: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = ssl.TLSVersion(version)
    if server:
        context.load_cert_chain(files.certfile, files.keyfile)
    else:
        context.load_verify_locations(files.cafile)
    return context


def pyopenssl_context(version: ProtocolVersion, files: Files, *, server: bool) -> OpenSSL.SSL.Context:
    context = OpenSSL.SSL.Context(OpenSSL.SSL.TLS_METHOD)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    if server:
        context.use_certificate_chain_file(str(files.certfile))
        context.use_privatekey_file(str(files.keyfile))
        context.set_session_id(b"test")
    else:
        context.load_verify_locations(str(files.cafile))
        context.set_verify(OpenSSL.SSL.VERIFY_PEER)
        context.set_session_cache_mode(OpenSSL.SSL.SESS_CACHE_CLIENT)
    return context


LIBRARIES: dict[str, tuple[Any, Any]] = {
    "ssl": (standard_context, StandardEnd),
    "pyOpenSSL": (pyopenssl_context, PyOpenSSLEnd),
}
libraries = pytest.mark.parametrize("library", LIBRARIES)


@libraries
@both_versions
def test_our_client_and_a_library(library: str, version: ProtocolVersion, files: Files) -> None:
    make_context, end = LIBRARIES[library]
    context, config = make_context(version, files, server=True), our_client_config(version)
    resumed = []
    for _ in range(VISITS):
        theirs = end(context, server=True)
        pair = Pair(TLSConnection(config, server_hostname=NAME), theirs)
        pair.handshake()
        pair.transfer(pair.server, LINE)
        pair.transfer(pair.client, LINE)
        assert bytes(pair.client.received) == bytes(pair.server.received) == LINE
        resumed.append(pair.client.connection.session_reused)
        assert theirs.reused in (None, resumed[-1])
    first_full(resumed)


@libraries
@both_versions
def test_a_library_and_our_server(library: str, version: ProtocolVersion, files: Files) -> None:
    make_context, end = LIBRARIES[library]
    context, config = make_context(version, files, server=False), our_server_config(version)
    resumed: list[bool] = []
    session = None
    for _ in range(VISITS):
        theirs = end(context, session, server=False)
        pair = Pair(theirs, TLSConnection(config))
        pair.handshake()
        pair.transfer(pair.server, LINE)
        pair.transfer(pair.client, LINE)
        assert bytes(pair.client.received) == bytes(pair.server.received) == LINE
        resumed.append(pair.server.connection.session_reused)
        assert theirs.reused in (None, resumed[-1])
        session = theirs.object.session if library == "ssl" else theirs.object.get_session()
        theirs.close()
    first_full(resumed)


@both_versions
def test_a_library_whose_ticket_was_altered(version: ProtocolVersion, files: Files) -> None:
    # Under other keys: a foreign ticket means a full handshake, never an error.
    context, session = standard_context(version, files, server=False), None
    for _ in range(2):
        config = our_server_config(version, ticket_keys=TicketKeys())
        theirs = StandardEnd(context, session, server=False)
        pair = Pair(theirs, TLSConnection(config))
        pair.handshake()
        pair.transfer(pair.server, LINE)
        assert not pair.server.connection.session_reused and not theirs.reused
        session = theirs.object.session


@both_versions
@pytest.mark.parametrize("resumed", [False, True])
def test_channel_bindings_are_the_librarys(version: ProtocolVersion, resumed: bool, files: Files) -> None:
    """`tls-unique` as Python's `ssl` has it (OpenSSL 3), exporters as pyOpenSSL has them (OpenSSL 4)."""
    context, session = standard_context(version, files, server=False), None
    other, config = pyopenssl_context(version, files, server=True), our_server_config(version)
    for _ in range(1 + resumed):
        theirs = StandardEnd(context, session, server=False)
        pair = Pair(theirs, TLSConnection(config))
        pair.handshake()
        pair.transfer(pair.server, LINE)
        session = theirs.object.session
    ours = pair.server.connection
    assert ours.session_reused == resumed
    if version == TLS_1_2:
        unique = theirs.object.get_channel_binding("tls-unique")
        assert unique is not None and ours.get_channel_binding("tls-unique") == unique
    client_config = our_client_config(version)
    for _ in range(1 + resumed):
        end = PyOpenSSLEnd(other, server=True)
        pair = Pair(TLSConnection(client_config, server_hostname=NAME), end)
        pair.handshake()
        pair.transfer(pair.server, LINE)
    ours = pair.client.connection
    assert ours.session_reused == resumed
    for label, context_value in ((b"EXPORTER-Channel-Binding", b""), (b"EXPORTER-other", b"context")):
        exported = end.object.export_keying_material(label, 32, context_value)
        assert ours.export_keying_material(label, 32, context_value) == exported
    binding = end.object.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
    assert ours.get_channel_binding("tls-exporter") == binding


# ---- Go -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def go() -> Path:
    try:
        return test_go._program()
    except Missing as missing:
        pytest.skip(str(missing))


def go_words(role: str, version: ProtocolVersion, files: Files, port: int = 0) -> str:
    words = {"role": role, "host": HOST, "name": NAME, "port": port, "count": VISITS, "version": version}
    words |= {"cert": str(files.certfile), "key": str(files.keyfile), "ca": str(files.cafile)}
    return json.dumps(words)


@both_versions
def test_our_client_and_go(version: ProtocolVersion, go: Path, files: Files, tmp_path: Path) -> None:
    config = our_client_config(version)
    with Child([go, "resume", go_words("server", version, files)], cwd=tmp_path) as child:
        port = int(child.wait_for(rb"port (\d+)")[1])
        resumed = [visit(port, config, lambda: True) for _ in range(VISITS)]
        assert child.exit_status() == 0, child.stderr
    first_full(resumed)
    assert child.stdout.count(b"resumed true") == VISITS - 1


@both_versions
def test_go_and_our_server(version: ProtocolVersion, go: Path, files: Files, tmp_path: Path) -> None:
    config = our_server_config(version)
    with listening() as listener:
        words = go_words("client", version, files, listener.getsockname()[1])
        with Child([go, "resume", words], cwd=tmp_path) as child:
            resumed = [visited(listener, config) for _ in range(VISITS)]
            assert child.exit_status() == 0, child.stderr
    first_full(resumed)
    assert child.stdout.count(b"resumed true") == VISITS - 1


# ---- JSSE ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def jsse() -> list[str | Path]:
    """The command, but for what it is told."""
    try:
        return ["java", *test_jsse.FLAGS, "-cp", test_jsse.compiled(), "Peer"]
    except Missing as missing:
        pytest.skip(str(missing))


def jsse_words(role: str, version: ProtocolVersion, files: Files, port: int = 0) -> list[str]:
    words = {"role": role, "host": HOST, "name": NAME, "port": port, "count": VISITS, "version": int(version)}
    words |= {"flow": "resume", "ca": files.cafile}
    words |= {"cert": files.certfile, "key": files.keyfile} if role == "server" else {}
    return [f"{key}={value}" for key, value in words.items()]


@both_versions
def test_our_client_and_jsse(
    version: ProtocolVersion, jsse: list[str | Path], files: Files, tmp_path: Path
) -> None:
    config = our_client_config(version)
    with Child([*jsse, *jsse_words("server", version, files)], cwd=tmp_path) as child:
        port = int(child.wait_for(rb"port (\d+)")[1])
        resumed = [visit(port, config, lambda: True) for _ in range(VISITS)]
        assert child.exit_status() == 0, child.stderr
    first_full(resumed)


@both_versions
def test_jsse_and_our_server(
    version: ProtocolVersion, jsse: list[str | Path], files: Files, tmp_path: Path
) -> None:
    config = our_server_config(version)
    with listening() as listener:
        words = jsse_words("client", version, files, listener.getsockname()[1])
        with Child([*jsse, *words], cwd=tmp_path) as child:
            resumed = [visited(listener, config) for _ in range(VISITS)]
            assert child.exit_status() == 0, child.stderr
    first_full(resumed)


# ---- NSS ------------------------------------------------------------------------------------------------------


@pytest.fixture
def nss(tmp_path: Path) -> str:
    try:
        test_nss._version()
    except Missing as missing:
        pytest.skip(str(missing))
    return test_nss._database(tmp_path, issue())


def nss_versions(version: ProtocolVersion) -> str:
    name = "tls1.2" if version == TLS_1_2 else "tls1.3"
    return f"{name}:{name}"


nss_kinds = pytest.mark.parametrize(
    ("version", "stateful"),
    [(TLS_1_2, False), (TLS_1_2, True), (TLS_1_3, False)],
    ids=["TLS 1.2 by ticket", "TLS 1.2 by id", "TLS 1.3"],
)


@nss_kinds
def test_our_client_and_nss(version: ProtocolVersion, stateful: bool, nss: str, tmp_path: Path) -> None:
    port = free_port()
    arguments = ["selfserv", "-d", nss, "-p", port, "-e", "leaf", "-V", nss_versions(version), "-v"]
    arguments += [] if stateful else ["-u"]
    config = our_client_config(version)
    (tmp_path / "reply").write_bytes(LINE)
    with Child(arguments, cwd=tmp_path) as child:
        alive = lambda: child.process.poll() is None  # noqa: E731  # a word for a question
        said = b"GET reply HTTP/1.0\r\n\r\n"
        first_full([visit(port, config, alive, said) for _ in range(VISITS)])


@nss_kinds
def test_nss_and_our_server(version: ProtocolVersion, stateful: bool, nss: str, tmp_path: Path) -> None:
    config = our_server_config(version)
    (tmp_path / "request").write_bytes(LINE)
    with listening() as listener:
        arguments = ["tstclnt", "-d", nss, "-h", HOST, "-p", listener.getsockname()[1], "-a", NAME, "-4"]
        arguments += ["-V", nss_versions(version), "-A", tmp_path / "request", "-L", VISITS, "-v"]
        arguments += [] if stateful else ["-u"]
        with Child(arguments, cwd=tmp_path) as child:
            resumed = [visited(listener, config, first=True) for _ in range(VISITS)]
            assert child.exit_status() == 0, child.stderr
    first_full(resumed)
    assert b"%d cache hits" % (VISITS - 1) in child.stderr
    if version == TLS_1_2:
        assert (b"%d stateless resumes" % (0 if stateful else VISITS - 1)) in child.stderr


# ---- GnuTLS ---------------------------------------------------------------------------------------------------


def priority(version: ProtocolVersion) -> str:
    return "NORMAL:-VERS-ALL:+VERS-TLS" + ("1.2" if version == TLS_1_2 else "1.3")


@needs("gnutls-serv")
@both_versions
def test_our_client_and_gnutls(version: ProtocolVersion, files: Files, tmp_path: Path) -> None:
    port = free_port()
    arguments = ["gnutls-serv", "--echo", "-p", port, "--priority", priority(version)]
    arguments += ["--x509certfile", files.certfile, "--x509keyfile", files.keyfile]
    config = our_client_config(version)
    with Child(arguments, cwd=tmp_path) as child:
        alive = lambda: child.process.poll() is None  # noqa: E731  # a word for a question
        first_full([visit(port, config, alive) for _ in range(VISITS)])


@needs("gnutls-cli")
@both_versions
def test_gnutls_and_our_server(version: ProtocolVersion, files: Files, tmp_path: Path) -> None:
    config = our_server_config(version)
    with listening() as listener:
        arguments = ["gnutls-cli", "--resume", "--waitresumption", "-p", listener.getsockname()[1], HOST]
        arguments += ["--x509cafile", files.cafile, "--sni-hostname", NAME, "--verify-hostname", NAME]
        arguments += ["--priority", priority(version)]
        with Child(arguments, cwd=tmp_path) as child:
            resumed = []
            for number in range(2):
                with Link(TLSConnection(config), listener.accept()[0], LIMIT) as link:
                    link.handshake()
                    if number:
                        child.write(LINE)
                        link.send(link.recv_until(b"\n"))
                        child.wait_for_output(1)
                        child.close_stdin()
                    assert link.exchange(b"", None) == b""
                    link.close()
                    resumed.append(link.connection.session_reused)
            assert child.exit_status() == 0, child.stderr
    first_full(resumed)
    assert b"This is a resumed session" in child.stdout
