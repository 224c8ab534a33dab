"""Who is measured: a TLS library on an event loop.

Every variant gets the same: one certificate (ECDSA P-256, issued by a root that the client is given and
verifies with the server's name), TLS 1.3, TLS_AES_256_GCM_SHA384 (what OpenSSL chooses and `ssl` cannot
change), X25519, no session tickets, TCP sockets made by `listening_socket` and `connected_socket`, and one
pair of write buffer limits. A variant that is called so has tlswrite's own defaults instead: what an
application gets that asks for nothing.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import socket
import ssl
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import tlswrite
from tlswrite.crypto.selfsigned import make_certificate
from tlswrite.crypto.suites import DEFAULT_SUITES
from tlswrite.iana import CipherSuite, NamedGroup

HOST = "127.0.0.1"
SERVER_NAME = "localhost"
SUITE = CipherSuite.TLS_AES_256_GCM_SHA384

#: Write buffer limits of every connection, the ones asyncio's own TLS has by default. Bytes.
HIGH_WATER, LOW_WATER = 512 * 1024, 128 * 1024

#: Send and receive buffer of every socket made here: the kernel's tuning would give each connection another
#: one, by its own history, and with it other costs of a large write. Bytes.
SOCKET_BUFFER = 256 * 1024

LoopKind = Literal["asyncio", "uvloop"]
Factory = Callable[[], asyncio.BaseProtocol]
T = TypeVar("T")


class Unsupported(RuntimeError):
    """A variant cannot do what a workload asks for, and is left out of it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """PEM files of the server (chain and key) and of the root that clients trust."""

    certfile: Path
    keyfile: Path
    cafile: Path


@dataclass(frozen=True, slots=True)
class Variant:
    """A library on a kind of event loop."""

    name: str
    library: Library
    loop: LoopKind

    def missing(self) -> str | None:
        """The module that this machine lacks, or None."""
        needed = [self.library.module, self.loop]
        return next((name for name in needed if importlib.util.find_spec(name) is None), None)

    def open(self, identity: Identity, *, resume: bool = False) -> Bed:
        return Bed(self, identity, resume=resume)


class Bed:
    """A variant at work: its event loop, kept alive between slices, its contexts, its listening socket."""

    def __init__(self, variant: Variant, identity: Identity, *, resume: bool = False) -> None:
        self.library = variant.library
        self._server_context = self.library.server_context(identity, resume=resume)
        self._client_context = self.library.client_context(identity, resume=resume)
        self.loop = _new_event_loop(variant.loop)
        self._listener = listening_socket()
        self.address = cast("tuple[str, int]", self._listener.getsockname())
        self._server: asyncio.AbstractServer | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    async def serve(self, factory: Factory) -> None:
        self._server = await self.library.serve(
            self.loop, factory, self._server_context, sock=self._listener, backlog=1024
        )

    async def connect(self, factory: Factory) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect by host and port, as an application does."""
        host, port = self.address
        return await self.library.connect(self.loop, factory, self._client_context, host=host, port=port)

    async def connect_socket(self, factory: Factory) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect over a socket made here, so that all variants have the same one; same write limits."""
        sock = await connected_socket(self.loop, self.address)
        transport, protocol = await self.library.connect(self.loop, factory, self._client_context, sock=sock)
        transport.set_write_buffer_limits(high=HIGH_WATER, low=LOW_WATER)
        self.library.check(transport)
        return transport, protocol

    def keep_session(self, transport: asyncio.Transport) -> None:
        """Resume the session of this connection from now on."""
        self.library.keep_session(self._client_context, transport)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._listener.close()
        self.run(_turns(8))
        self.loop.close()


class Library(ABC):
    """How one TLS library serves and connects; `suite` is what is to be negotiated."""

    module: str = "ssl"
    suite: CipherSuite = SUITE
    can_resume: bool = True

    @abstractmethod
    def server_context(self, identity: Identity, *, resume: bool = False) -> Any:
        """A server's: with `resume` it sends one ticket a connection, else none."""

    @abstractmethod
    def client_context(self, identity: Identity, *, resume: bool = False) -> Any: ...

    def keep_session(self, context: Any, transport: asyncio.Transport) -> None:
        """Resume the session of `transport` from now on; nothing to do where that happens by itself."""
        del context, transport

    @abstractmethod
    async def serve(
        self, loop: asyncio.AbstractEventLoop, factory: Factory, context: Any, **where: Any
    ) -> asyncio.AbstractServer: ...

    @abstractmethod
    async def connect(
        self, loop: asyncio.AbstractEventLoop, factory: Factory, context: Any, **where: Any
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]: ...

    def application_loop(self, kind: LoopKind) -> asyncio.AbstractEventLoop:
        """A new loop whose own `create_server` serves by this library, for applications that know only that."""
        return _new_event_loop(kind)

    def check(self, transport: asyncio.Transport) -> None:
        """Raise unless the connection negotiated what every variant is to negotiate."""
        tls = transport.get_extra_info("ssl_object")
        negotiated = (tls.version(), tls.cipher()[0])
        if negotiated != ("TLSv1.3", self.suite.name):
            raise RuntimeError(f"not like for like: {negotiated}")


class Plain(Library):
    """TCP without TLS: the floor of the event loop itself."""

    def server_context(self, identity: Identity, *, resume: bool = False) -> None:
        return None

    def client_context(self, identity: Identity, *, resume: bool = False) -> None:
        return None

    async def serve(
        self, loop: asyncio.AbstractEventLoop, factory: Factory, context: Any, **where: Any
    ) -> asyncio.AbstractServer:
        return await loop.create_server(factory, **where)

    async def connect(
        self, loop: asyncio.AbstractEventLoop, factory: Factory, context: Any, **where: Any
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        return await loop.create_connection(factory, **where)

    def check(self, transport: asyncio.Transport) -> None:
        if transport.get_extra_info("ssl_object") is not None:
            raise RuntimeError("TLS where none was asked for")


class StandardSSL(Library):
    """The `ssl` module through the loop's own methods."""

    def server_context(self, identity: Identity, *, resume: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(identity.certfile, identity.keyfile)
        context.num_tickets = int(resume)
        return _like_for_like(context)

    def client_context(self, identity: Identity, *, resume: bool = False) -> ssl.SSLContext:
        context = (ResumingContext if resume else ssl.SSLContext)(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(identity.cafile)
        return _like_for_like(context)

    async def serve(
        self, loop: asyncio.AbstractEventLoop, factory: Factory, context: Any, **where: Any
    ) -> asyncio.AbstractServer:
        return await loop.create_server(factory, ssl=context, **where)

    async def connect(
        self, loop: asyncio.AbstractEventLoop, factory: Factory, context: Any, **where: Any
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        return await loop.create_connection(factory, ssl=context, server_hostname=SERVER_NAME, **where)

    def keep_session(self, context: Any, transport: asyncio.Transport) -> None:
        context.kept = transport.get_extra_info("ssl_object").session


class ResumingContext(ssl.SSLContext):
    """Gives the session that was kept to the connections that asyncio wraps."""

    kept: ssl.SSLSession | None = None

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        return super().wrap_bio(*args, **{**kwargs, "session": self.kept})


class Aiofastnet(StandardSSL):
    """aiofastnet's transports over the `ssl` module's contexts."""

    module = "aiofastnet"
    #: It drives OpenSSL itself, and has no parameter for a session.
    can_resume = False

    def application_loop(self, kind: LoopKind) -> asyncio.AbstractEventLoop:
        loop = super().application_loop(kind)
        importlib.import_module(self.module).patch_loop(loop)
        return loop

    async def serve(
        self, loop: asyncio.AbstractEventLoop, factory: Factory, context: Any, **where: Any
    ) -> asyncio.AbstractServer:
        aiofastnet = importlib.import_module(self.module)
        server = await aiofastnet.create_server(loop, factory, ssl=context, **where)
        return cast(asyncio.AbstractServer, server)

    async def connect(
        self, loop: asyncio.AbstractEventLoop, factory: Factory, context: Any, **where: Any
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        aiofastnet = importlib.import_module(self.module)
        pair = await aiofastnet.create_connection(
            loop, factory, ssl=context, server_hostname=SERVER_NAME, **where
        )
        return cast("tuple[asyncio.Transport, asyncio.BaseProtocol]", pair)


class TLSWrite(Library):
    """This package, like for like or with its own defaults: X25519MLKEM768 and AES-128-GCM.

    Without tickets, as the others here, unless handshakes are to be resumed.
    """

    module = "tlswrite"

    def __init__(self, *, defaults: bool = False) -> None:
        self._fields: dict[str, Any] = {}
        if defaults:
            self.suite = DEFAULT_SUITES[0]
        else:
            self._fields = {"groups": (NamedGroup.x25519,), "cipher_suites": (self.suite,)}

    def application_loop(self, kind: LoopKind) -> asyncio.AbstractEventLoop:
        return tlswrite.new_event_loop(uvloop=kind == "uvloop")

    def server_context(self, identity: Identity, *, resume: bool = False) -> tlswrite.ServerConfig:
        return tlswrite.ServerConfig.from_files(
            identity.certfile, identity.keyfile, tickets=int(resume), session_cache=None, **self._fields
        )

    def client_context(self, identity: Identity, *, resume: bool = False) -> tlswrite.ClientConfig:
        fields = self._fields if resume else {**self._fields, "session_cache": None}
        return tlswrite.ClientConfig.from_files(identity.cafile, **fields)

    async def serve(
        self, loop: asyncio.AbstractEventLoop, factory: Factory, context: Any, **where: Any
    ) -> asyncio.AbstractServer:
        return await tlswrite.create_server(factory, ssl=context, **where)

    async def connect(
        self, loop: asyncio.AbstractEventLoop, factory: Factory, context: Any, **where: Any
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        return await tlswrite.create_connection(factory, ssl=context, server_hostname=SERVER_NAME, **where)


#: Every variant, in the order of the tables.
VARIANTS = (
    Variant("tlswrite/asyncio", TLSWrite(), "asyncio"),
    Variant("ssl/asyncio", StandardSSL(), "asyncio"),
    Variant("aiofastnet/asyncio", Aiofastnet(), "asyncio"),
    Variant("TCP/asyncio", Plain(), "asyncio"),
    Variant("tlswrite/uvloop", TLSWrite(), "uvloop"),
    Variant("ssl/uvloop", StandardSSL(), "uvloop"),
    Variant("aiofastnet/uvloop", Aiofastnet(), "uvloop"),
    Variant("TCP/uvloop", Plain(), "uvloop"),
)

#: Beside them, in everything that is timed: tlswrite as it comes.
DEFAULTS_VARIANTS = (
    Variant("tlswrite/asyncio, defaults", TLSWrite(defaults=True), "asyncio"),
    Variant("tlswrite/uvloop, defaults", TLSWrite(defaults=True), "uvloop"),
)


def make_identity(directory: Path) -> Identity:
    """Write a root, a server certificate and its key into `directory`."""
    root = make_certificate([], is_ca=True, common_name="tlswrite benchmark root")
    leaf = make_certificate([SERVER_NAME, HOST], key_type="ecdsa_secp256r1", issuer=root)
    identity = identity_in(directory)
    identity.certfile.write_bytes(leaf.certificate_pem)
    identity.keyfile.write_bytes(leaf.key_pem)
    identity.cafile.write_bytes(root.certificate_pem)
    return identity


def identity_in(directory: Path) -> Identity:
    """Where `make_identity` writes."""
    return Identity(directory / "server.pem", directory / "server.key", directory / "root.pem")


def listening_socket() -> socket.socket:
    sock = _new_socket()  # accepted sockets inherit its options
    sock.bind((HOST, 0))
    return sock


async def connected_socket(loop: asyncio.AbstractEventLoop, address: tuple[str, int]) -> socket.socket:
    sock = _new_socket()
    await loop.sock_connect(sock, address)
    return sock


def _new_socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if sys.platform == "linux":
        # Not the machine's: BBR paces, by timers, what never leaves the machine.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)
    sock.setblocking(False)
    return sock


def _like_for_like(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_ecdh_curve("X25519")
    return context


def _new_event_loop(kind: LoopKind) -> asyncio.AbstractEventLoop:
    if kind == "asyncio":
        return asyncio.SelectorEventLoop()
    uvloop = importlib.import_module("uvloop")
    return cast(asyncio.AbstractEventLoop, uvloop.new_event_loop())


async def _turns(count: int) -> None:
    """Let closing transports have their callbacks."""
    for _ in range(count):
        await asyncio.sleep(0)
