"""A man in the middle who wants TLS 1.2: a proxy on the wire, real sockets on both sides of it.

He may take supported_versions out of the ClientHello, take the warning out of the ServerHello, or cut every
connection that offers TLS 1.3 until the client tries something older. Each time both sides notice.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.support.build import interpreted
from tests.support.engine import BOTH, ECDHE, HOST, ONLY_1_2, client_config, server_config
from tests.support.wire import Complaints, Recorder
from tlswrite import ClientConfig, Mode, connect_accepted_socket, create_connection
from tlswrite.errors import (
    AlertReceived,
    BadRecordMAC,
    DecryptError,
    IllegalParameter,
    InappropriateFallback,
    TLSError,
)
from tlswrite.iana import AlertDescription, ExtensionType, HandshakeType, ProtocolVersion
from tlswrite.messages.hello import DOWNGRADE_TLS12, ClientHello, ServerHello

TLS_1_3 = ProtocolVersion.TLS_1_3
#: A record of one side, and what arrives instead of it; None: the connection is cut.
Meddle = Callable[[bytes], bytes | None]


def without(*unwanted: int) -> Meddle:
    """Takes extensions out of the ClientHello."""

    def meddle(record: bytes) -> bytes:
        if record[0] != 22 or record[5] != HandshakeType.CLIENT_HELLO:
            return record
        hello = ClientHello.parse(record[9:])
        kept = tuple(each for each in hello.extensions if each[0] not in unwanted)
        return record_of(record, replace(hello, extensions=kept).encode())

    return meddle


without_versions = without(ExtensionType.SUPPORTED_VERSIONS)
without_either = without(ExtensionType.SUPPORTED_VERSIONS, ExtensionType.EXTENDED_MAIN_SECRET)


def without_warning(record: bytes) -> bytes:
    """A ServerHello whose random does not say that the server can do more."""
    if record[0] != 22 or record[5] != HandshakeType.SERVER_HELLO:
        return record
    size = int.from_bytes(record[6:9], "big")
    hello = ServerHello.parse(record[9 : 9 + size])
    assert hello.random[-8:] == DOWNGRADE_TLS12
    changed = replace(hello, random=hello.random[:-8] + b"harmless").encode()
    return record_of(record, changed + record[9 + size :])


def only_older(record: bytes) -> bytes | None:
    """Cuts whatever offers TLS 1.3."""
    if record[0] == 22 and record[5] == HandshakeType.CLIENT_HELLO:
        offered = ClientHello.parse(record[9:]).extension(ExtensionType.SUPPORTED_VERSIONS)
        if offered is not None and TLS_1_3.to_bytes(2, "big") in offered:
            return None
    return record


def record_of(record: bytes, fragment: bytes) -> bytes:
    return record[:3] + len(fragment).to_bytes(2, "big") + fragment


def same(record: bytes) -> bytes:
    return record


@dataclass
class Server:
    """A server of both versions behind a proxy: the proxy's port, and how each handshake ended."""

    port: int
    outcomes: list[Any]


@asynccontextmanager
async def proxied(to_server: Meddle = same, to_client: Meddle = same, **fields: Any) -> AsyncIterator[Server]:
    """A server of both versions behind a proxy."""
    loop = asyncio.get_running_loop()
    config = server_config(**BOTH, **fields)
    outcomes: list[Any] = []
    tasks: set[asyncio.Task[None]] = set()

    async def serve(sock: socket.socket) -> None:
        try:
            outcomes.append((await connect_accepted_socket(Recorder, sock, ssl=config))[0])
        except (TLSError, OSError) as error:
            outcomes.append(error)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, meddle: Meddle) -> None:
        try:
            while True:
                header = await reader.readexactly(5)
                record = header + await reader.readexactly(int.from_bytes(header[3:5], "big"))
                changed = meddle(record)
                if changed is None:
                    break
                writer.write(changed)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        near, far = socket.socketpair()
        tasks.add(loop.create_task(serve(far)))
        theirs, ours = await asyncio.open_connection(sock=near)
        await asyncio.gather(pass_on(reader, ours, to_server), pass_on(theirs, writer, to_client))

    proxy = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with proxy:
        yield Server(proxy.sockets[0].getsockname()[1], outcomes)
        await asyncio.gather(*tasks)
        for outcome in outcomes:
            if not isinstance(outcome, BaseException):
                outcome.abort()


async def connect(server: Server, config: ClientConfig) -> Any:
    transport, _ = await create_connection(
        Recorder, "127.0.0.1", server.port, ssl=config, server_hostname=HOST
    )
    return transport


async def fails(server: Server, config: ClientConfig) -> tuple[TLSError, TLSError]:
    """What the client and the server met; neither got through."""
    known = len(server.outcomes)
    with pytest.raises(TLSError) as caught:
        await connect(server, config)
    async with asyncio.timeout(15):
        while len(server.outcomes) == known:
            await asyncio.sleep(0)
    failure = server.outcomes[-1]
    assert isinstance(failure, TLSError)
    return caught.value, failure


def both_versions(**fields: Any) -> ClientConfig:
    return client_config(**{**BOTH, "groups": ECDHE, **fields})


async def test_nobody_meddles(complaints: Complaints) -> None:
    async with proxied() as server:
        transport = await connect(server, both_versions())
        assert transport.get_extra_info("ssl_object").version() == "TLSv1.3"
        transport.abort()
    assert not complaints


async def test_supported_versions_is_stripped_and_the_client_notices(complaints: Complaints) -> None:
    # RFC 9846 §4.2.3: the server's random says that it can do more: "illegal_parameter".
    async with proxied(to_server=without_versions) as server:
        error, failure = await fails(server, both_versions())
        assert type(error) is IllegalParameter and "downgrade attack" in error.message
        # And the server is told.
        assert isinstance(failure, AlertReceived)
        assert failure.received == AlertDescription.ILLEGAL_PARAMETER


@interpreted
async def test_supported_versions_is_stripped_and_the_server_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    # With a client that does not look at the random: its Finished is over the hello that it sent, the server's over
    # the one that came (RFC 5246 §7.4.9).
    monkeypatch.setattr("tlswrite.negotiate.DOWNGRADE_TLS12", b"")
    async with proxied(to_server=without_versions) as server:
        error, failure = await fails(server, both_versions())
        # With the extended main secret the keys differ already, without it the Finished does.
        assert type(failure) is BadRecordMAC and "downgrade" not in error.message
        lax = {"require_extended_main_secret": False}
    async with proxied(to_server=without_either, **lax) as server:
        error, failure = await fails(server, both_versions(**lax))
        assert type(failure) is DecryptError and isinstance(error, AlertReceived)
        assert error.received == AlertDescription.DECRYPT_ERROR


async def test_the_warning_is_taken_out_and_the_client_notices() -> None:
    # The random is signed with the key exchange (RFC 8422 §5.4).
    async with proxied(to_server=without_versions, to_client=without_warning) as server:
        error, failure = await fails(server, both_versions())
        assert type(error) is DecryptError
        assert isinstance(failure, AlertReceived) and failure.received == AlertDescription.DECRYPT_ERROR


async def test_a_client_that_falls_back_says_so_and_the_server_notices() -> None:
    # RFC 7507 §3: whoever is cut and tries an older version sends TLS_FALLBACK_SCSV.
    async with proxied(to_server=only_older) as server:
        await fails(server, both_versions())
        older = client_config(**ONLY_1_2, mode=Mode.AUTO_RETRY | Mode.SEND_FALLBACK_SCSV)
        error, failure = await fails(server, older)
        assert isinstance(error, AlertReceived)
        assert error.received == AlertDescription.INAPPROPRIATE_FALLBACK
        assert type(failure) is InappropriateFallback and "downgrade attack" in failure.message
