"""create_connection and its relatives: addresses, arguments, errors."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import engine
from tests.support.wire import Recorder, socket_pair, turns
from tlswrite.asyncio import (
    Transport,
    connect_accepted_socket,
    create_connection,
    create_server,
    create_unix_connection,
    create_unix_server,
)
from tlswrite.asyncio.connect import _Connector, resolve
from tlswrite.errors import CertificateError, ConfigurationError

CLIENT = engine.client_config()
SERVER = engine.server_config()


class Echo(asyncio.Protocol):
    transport: Any

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Of a server on 127.0.0.1 that says again what it is told."""
    server = await create_server(Echo, "127.0.0.1", 0, ssl=SERVER)
    yield server.sockets[0].getsockname()[1]
    server.close()
    server.close_clients()
    await server.wait_closed()


@pytest.fixture
def closed_port() -> int:
    """Where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


async def echoes(transport: asyncio.Transport, recorder: Recorder) -> None:
    transport.write(b"hello")
    assert await recorder.got(5) == b"hello"
    transport.close()
    assert await recorder.gone() is None


# ---- addresses ----


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_the_host_is_resolved_and_verified(host: str, port: int) -> None:
    await echoes(*await create_connection(Recorder, host, port, ssl=CLIENT, family=socket.AF_INET))


async def test_the_port_may_be_a_string(port: int) -> None:
    await echoes(*await create_connection(Recorder, "127.0.0.1", str(port), ssl=CLIENT))


async def test_local_addr_is_bound(port: int) -> None:
    transport, recorder = await create_connection(
        Recorder, "127.0.0.1", port, ssl=CLIENT, local_addr=("127.0.0.2", 0)
    )
    assert transport.get_extra_info("sockname")[0] == "127.0.0.2"
    await echoes(transport, recorder)


@pytest.mark.parametrize("options", [{"happy_eyeballs_delay": 0.25}, {"interleave": 1}, {}])
async def test_the_first_address_that_answers_is_taken(
    options: dict[str, Any], port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """::1 has no listener: the next one is tried."""

    async def addresses(*_: Any, **__: Any) -> list[Any]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]

    monkeypatch.setattr("tlswrite.asyncio.connect.resolve", addresses)
    transport, recorder = await create_connection(Recorder, engine.HOST, port, ssl=CLIENT, **options)
    assert transport.get_extra_info("peername")[0] == "127.0.0.1"
    await echoes(transport, recorder)


async def test_nobody_listens(closed_port: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        await create_connection(Recorder, "127.0.0.1", closed_port, ssl=CLIENT)


@pytest.mark.parametrize("delay", [None, 0.25])
async def test_what_a_refused_connection_had_is_free_for_the_next(
    closed_port: int, port: int, delay: float | None
) -> None:
    """The next socket has the same number: a writer that was left registered for it would be in its way."""
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            await create_connection(
                Recorder, "127.0.0.1", closed_port, ssl=CLIENT, happy_eyeballs_delay=delay
            )
        transport, recorder = await create_connection(Recorder, "127.0.0.1", port, ssl=CLIENT)
        await echoes(transport, recorder)


async def test_what_a_cancelled_connect_had_is_free_for_the_next(port: int) -> None:
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        # Two are taken without anybody to accept them; the third one's answer never comes.
        for _ in range(2):
            sock = waiting.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        for _ in range(3):
            connecting = asyncio.ensure_future(
                create_connection(Recorder, "127.0.0.1", full.getsockname()[1], ssl=CLIENT)
            )
            await turns(5)
            assert not connecting.done()
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
            transport, recorder = await create_connection(Recorder, "127.0.0.1", port, ssl=CLIENT)
            await echoes(transport, recorder)


async def test_all_errors_are_told_on_demand(closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def addresses(*_: Any, **__: Any) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, closed_port))
            for host in ("127.0.0.1", "127.0.0.2")
        ]

    monkeypatch.setattr("tlswrite.asyncio.connect.resolve", addresses)
    for options in ({}, {"happy_eyeballs_delay": 0.25}):
        with pytest.raises(ExceptionGroup) as caught:
            await create_connection(
                Recorder, engine.HOST, closed_port, ssl=CLIENT, all_errors=True, **options
            )
        assert [type(exc) for exc in caught.value.exceptions] == [ConnectionRefusedError] * 2


async def test_all_errors_include_a_local_address_that_cannot_be_bound(closed_port: int) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await create_connection(
            Recorder,
            "127.0.0.1",
            closed_port,
            ssl=CLIENT,
            local_addr=("240.0.0.1", 0),
            all_errors=True,
        )
    (exc,) = caught.value.exceptions
    assert isinstance(exc, OSError)
    assert exc.errno == errno.EADDRNOTAVAIL


@pytest.mark.parametrize(
    ("host", "port", "family", "proto", "expected"),
    [
        ("127.0.0.1", 5, 0, 0, (socket.AF_INET, ("127.0.0.1", 5))),
        ("127.0.0.1", None, 0, 0, (socket.AF_INET, ("127.0.0.1", 0))),
        ("127.0.0.1", "", 0, 6, (socket.AF_INET, ("127.0.0.1", 0))),
        ("127.0.0.1", "80", socket.AF_INET, 0, (socket.AF_INET, ("127.0.0.1", 80))),
        ("::1", 5, 0, 0, (socket.AF_INET6, ("::1", 5, 0, 0))),
    ],
)
async def test_a_written_address_is_not_looked_up(
    host: str, port: Any, family: int, proto: int, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody: Any = None
    ((found, kind, _, _, address),) = await resolve(nobody, host, port, family, proto, 0)
    assert ((found, address), kind) == (expected, socket.SOCK_STREAM)


@pytest.mark.parametrize(
    ("host", "port", "family", "proto"),
    [
        ("localhost", 5, 0, 0),
        (None, 5, 0, 0),
        ("127.0.0.1", "http", 0, 0),
        ("127.0.0.1", 5, socket.AF_INET6, 0),
        ("127.0.0.1", 5, 0, 17),
        ("fe80::1%lo", 5, 0, 0),
    ],
)
async def test_anything_else_is_looked_up(host: str | None, port: Any, family: int, proto: int) -> None:
    class Loop:
        async def getaddrinfo(self, *args: Any, **options: Any) -> list[Any]:
            assert options == {"family": family, "type": socket.SOCK_STREAM, "proto": proto, "flags": 1}
            return list(args) if host != "localhost" else []

    loop: Any = Loop()
    if host == "localhost":
        with pytest.raises(OSError, match="empty list"):
            await resolve(loop, host, port, family, proto, 1)
    else:
        assert await resolve(loop, host, port, family, proto, 1) == [host, port]


async def test_a_host_with_a_nul_is_not_looked_up() -> None:
    """The system's resolver would take what is before it."""
    nobody: Any = None
    with pytest.raises(ValueError, match="without a NUL"):
        await resolve(nobody, "localhost\0.example", 5, 0, 0, 0)


# ---- names ----


async def test_server_hostname_is_what_is_verified(port: int) -> None:
    await echoes(
        *await create_connection(Recorder, "127.0.0.1", port, ssl=CLIENT, server_hostname="localhost")
    )
    with pytest.raises(CertificateError, match=r"other\.example"):
        await create_connection(Recorder, "127.0.0.1", port, ssl=CLIENT, server_hostname="other.example")


async def test_an_empty_server_hostname_needs_a_configuration_that_does_without(port: int) -> None:
    with pytest.raises(ConfigurationError, match="server_hostname"):
        await create_connection(Recorder, "127.0.0.1", port, ssl=CLIENT, server_hostname="")
    config = engine.client_config(check_hostname=False)
    await echoes(*await create_connection(Recorder, "127.0.0.1", port, ssl=config, server_hostname=""))


# ---- arguments ----


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "host and port was not specified and no sock specified"),
        ({"sock": ..., "host": "localhost"}, "can not be specified at the same time"),
        ({"sock": ..., "port": 5}, "can not be specified at the same time"),
        ({"host": "localhost", "ssl_handshake_timeout": 0}, "ssl_handshake_timeout should be a positive"),
        ({"host": "localhost", "ssl_shutdown_timeout": -1}, "ssl_shutdown_timeout should be a positive"),
    ],
)
async def test_arguments_that_cannot_work(options: dict[str, Any], message: str) -> None:
    with socket.socket() as sock:
        if "sock" in options:
            options = {**options, "sock": sock}
        with pytest.raises(ValueError, match=message):
            await create_connection(Recorder, ssl=CLIENT, server_hostname="localhost", **options)


async def test_a_name_is_needed() -> None:
    with socket.socket() as sock:
        with pytest.raises(ValueError, match="You must set server_hostname"):
            await create_connection(Recorder, sock=sock, ssl=CLIENT)
        with pytest.raises(ValueError, match="you have to pass server_hostname"):
            await create_unix_connection(Recorder, sock=sock, ssl=CLIENT)


async def test_only_stream_sockets() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        with pytest.raises(ValueError, match="A Stream Socket was expected"):
            await create_connection(Recorder, sock=sock, ssl=CLIENT, server_hostname="x")
        with pytest.raises(ValueError, match="A Stream Socket was expected"):
            await connect_accepted_socket(Recorder, sock, ssl=SERVER)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    with context.wrap_socket(socket.socket()) as wrapped, pytest.raises(TypeError, match="SSLSocket"):
        await create_connection(Recorder, sock=wrapped, ssl=CLIENT, server_hostname="x")


@pytest.mark.parametrize("name", ["ssl_handshake_timeout", "ssl_shutdown_timeout", "server_hostname"])
async def test_without_ssl_its_parameters_mean_nothing(name: str) -> None:
    value: Any = "name" if name == "server_hostname" else 5
    with pytest.raises(ValueError, match=f"{name} is only meaningful with ssl"):
        await create_connection(Recorder, "localhost", 1, **{name: value})
    with pytest.raises(ValueError, match=f"{name} is only meaningful with ssl"):
        await create_unix_connection(Recorder, "/nowhere", **{name: value})
    if name != "server_hostname":
        with socket.socket() as sock, pytest.raises(ValueError, match=f"{name} is only meaningful with ssl"):
            await connect_accepted_socket(Recorder, sock, **{name: value})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (SERVER, "got a ServerConfig, but this side is the client"),
        (ssl.create_default_context(), "an ssl.SSLContext, whose settings cannot be read"),
        ("tls", "takes True, a tlswrite.ClientConfig or a tlswrite.SSLContext, not str"),
    ],
)
async def test_w03_the_client_needs_a_clients_configuration(given: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        await create_connection(Recorder, "localhost", 1, ssl=given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (CLIENT, "got a ClientConfig, but this side is the server"),
        (True, "takes a tlswrite.ServerConfig or a tlswrite.SSLContext, not True"),
    ],
)
async def test_w03_the_server_needs_a_servers_configuration(given: Any, message: str) -> None:
    with (
        socket.socket() as sock,
        pytest.raises((TypeError, ValueError), match=r"ServerConfig.*, not True|" + message),
    ):
        await connect_accepted_socket(Recorder, sock, ssl=given)
    with pytest.raises(TypeError, match=message):
        await create_server(Recorder, "127.0.0.1", 0, ssl=given)


async def test_a_factory_that_raises_closes_the_socket() -> None:
    def factory() -> Recorder:
        raise LookupError

    ours, theirs = socket_pair()
    with pytest.raises(LookupError):
        await create_connection(factory, sock=ours, ssl=CLIENT, server_hostname="x")
    assert ours.fileno() == -1
    theirs.close()


async def test_a_socket_that_cannot_be_watched_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(transport: Transport) -> None:
        raise RuntimeError("File descriptor is used by transport")

    monkeypatch.setattr(Transport, "start", refuse)
    ours, theirs = socket_pair()
    with pytest.raises(RuntimeError, match="is used by transport"):
        await create_connection(Recorder, sock=ours, ssl=CLIENT, server_hostname="x")
    await turns()
    assert ours.fileno() == -1
    theirs.close()


# ---- without TLS ----


async def test_without_ssl_the_loops_own_is_used(tmp_path: Path) -> None:
    server = await create_server(Echo, "127.0.0.1", 0)
    transport, recorder = await create_connection(
        Recorder, "127.0.0.1", server.sockets[0].getsockname()[1], ssl=False
    )
    assert transport.get_extra_info("ssl_object") is None
    await echoes(transport, recorder)
    server.close()
    path = str(tmp_path / "socket")
    server = await create_unix_server(Echo, path)
    await echoes(*await create_unix_connection(Recorder, path))
    server.close()
    ours, theirs = socket_pair()
    (first, _), (second, recorder) = await asyncio.gather(
        connect_accepted_socket(Echo, theirs), create_connection(Recorder, sock=ours)
    )
    await echoes(second, recorder)
    first.close()


@pytest.mark.parametrize("name", ["create_connection", "create_server"])
async def test_newer_parameters_reach_the_loop(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the loop does not know yet it refuses itself."""
    parameter = "all_errors" if name == "create_connection" else "keep_alive"
    method: Any = create_connection if name == "create_connection" else create_server
    try:
        made = await method(Echo, "127.0.0.1", 0, **{parameter: True})
    except TypeError as exc:
        assert parameter in str(exc)
    except (OSError, ExceptionGroup):
        pass
    else:
        made.close()


# ---- an answer that takes its time ----


async def test_a_connection_that_is_there_at_once_is_not_waited_for(port: int) -> None:
    with socket.socket() as sock:
        sock.setblocking(False)
        connecting = _Connector(asyncio.get_running_loop()).sock_connect(sock, ("127.0.0.1", port))
        with pytest.raises(StopIteration):
            connecting.send(None)
        assert sock.getpeername() == ("127.0.0.1", port)


class Unanswered(socket.socket):
    """On one machine the answer is there at once; this socket does not know yet when it is asked."""

    def getpeername(self) -> Any:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")


async def test_a_connection_that_is_not_there_at_once_is_waited_for(port: int, closed_port: int) -> None:
    loop = asyncio.get_running_loop()
    with Unanswered(socket.AF_INET) as sock:
        sock.setblocking(False)
        await _Connector(loop).sock_connect(sock, ("127.0.0.1", port))
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert not loop.remove_writer(sock), "nothing stays registered"
        assert socket.socket.getpeername(sock) == ("127.0.0.1", port)
    connector = _Connector(loop)
    with Unanswered(socket.AF_INET) as sock:
        sock.setblocking(False)
        with pytest.raises(
            ConnectionRefusedError, match=r"Connect call failed \('127.0.0.1', \d+\)"
        ) as caught:
            await connector.sock_connect(sock, ("127.0.0.1", closed_port))
        assert connector.errors == [caught.value]
        assert not loop.remove_writer(sock)


async def test_a_wait_for_an_answer_can_be_cancelled(port: int) -> None:
    loop = asyncio.get_running_loop()
    with Unanswered(socket.AF_INET) as sock:
        sock.setblocking(False)
        connecting = loop.create_task(_Connector(loop).sock_connect(sock, ("127.0.0.1", port)))
        await turns(1)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        assert not loop.remove_writer(sock)


# ---- unix sockets ----


async def test_a_server_with_a_full_backlog_is_told_of(tmp_path: Path) -> None:
    """The kernel does not go on connecting then, so there is no handshake to wait for."""
    path = str(tmp_path / "socket")
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(path)
        listening.listen(0)
        with pytest.raises(BlockingIOError):
            while True:
                waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                waiting.connect(path)
        with pytest.raises(BlockingIOError):
            await create_unix_connection(Recorder, path, ssl=CLIENT, server_hostname="localhost")


async def test_a_unix_socket_is_connected(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    server = await create_unix_server(Echo, path, ssl=SERVER)
    for given in (path, str(path), bytes(path)):
        await echoes(*await create_unix_connection(Recorder, given, ssl=CLIENT, server_hostname="localhost"))
    server.close()
    await server.wait_closed()


async def test_a_connected_unix_socket_is_taken() -> None:
    ours, theirs = socket_pair()
    (_, _), (transport, recorder) = await asyncio.gather(
        connect_accepted_socket(Echo, theirs, ssl=SERVER),
        create_unix_connection(Recorder, sock=ours, ssl=CLIENT, server_hostname="localhost"),
    )
    await echoes(transport, recorder)


async def test_unix_arguments_that_cannot_work(tmp_path: Path) -> None:
    options: dict[str, Any] = {"ssl": CLIENT, "server_hostname": "localhost"}
    with pytest.raises(ValueError, match="no path and sock"):
        await create_unix_connection(Recorder, **options)
    with socket.socket() as sock:
        with pytest.raises(ValueError, match="A UNIX Domain Stream Socket was expected"):
            await create_unix_connection(Recorder, sock=sock, **options)
        with pytest.raises(ValueError, match="at the same time"):
            await create_unix_connection(Recorder, "/path", sock=sock, **options)
    with pytest.raises(FileNotFoundError):
        await create_unix_connection(Recorder, tmp_path / "nothing", **options)
