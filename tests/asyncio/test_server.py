"""Servers: listening, accepting under stress, and ending."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import resource
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import engine
from tests.support.wire import PATIENCE, Complaints, Peer, Recorder, turns
from tlswrite.asyncio import Server, create_connection, create_server, create_unix_server, server
from tlswrite.errors import TruncationError

CLIENT = engine.client_config()
SERVER = engine.server_config()


class Serving:
    """A server on 127.0.0.1 and the protocols of its connections."""

    def __init__(self, **options: Any) -> None:
        self.options = {"host": "127.0.0.1", "port": 0, "ssl": SERVER, **options}
        self.protocols: list[Recorder] = []
        self.accepted = asyncio.Event()
        self.server: Any = None

    async def __aenter__(self) -> Serving:
        self.server = await create_server(self.make, **self.options)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        self.server.abort_clients()
        await self.server.wait_closed()

    def make(self) -> Recorder:
        self.protocols.append(Recorder())
        self.accepted.set()
        return self.protocols[-1]

    @property
    def port(self) -> int:
        port: int = self.server.sockets[0].getsockname()[1]
        return port

    async def connect(self) -> tuple[asyncio.Transport, Recorder]:
        transport, recorder = await create_connection(Recorder, "127.0.0.1", self.port, ssl=CLIENT)
        async with asyncio.timeout(PATIENCE):
            while not self.protocols[-1].calls:
                await asyncio.sleep(0)
        return transport, recorder


@pytest.fixture
async def serving() -> AsyncIterator[Serving]:
    async with Serving() as made:
        yield made


# ---- serving ----


async def test_it_serves_many(serving: Serving) -> None:
    clients = await asyncio.gather(*(serving.connect() for _ in range(50)))
    for number, (transport, _) in enumerate(clients):
        transport.write(b"%d" % number)
    for protocol in serving.protocols:
        await protocol.until(lambda protocol=protocol: protocol.data)
    assert len({bytes(protocol.data) for protocol in serving.protocols}) == 50
    for transport, recorder in clients:
        transport.close()
        await recorder.gone()


async def test_it_is_an_asyncio_server(serving: Serving) -> None:
    assert isinstance(serving.server, asyncio.AbstractServer)
    assert serving.server.get_loop() is asyncio.get_running_loop()
    assert serving.server.is_serving()
    (sock,) = serving.server.sockets
    assert sock.getsockname()[0] == "127.0.0.1"
    assert repr(serving.server).startswith("<Server sockets=(<asyncio.TransportSocket fd=")
    serving.server.close()
    assert not serving.server.is_serving()
    assert serving.server.sockets == ()
    serving.server.close()


async def test_peername_comes_from_accept(serving: Serving) -> None:
    transport, _ = await serving.connect()
    accepted = serving.protocols[0].transport
    assert accepted.get_extra_info("peername") == transport.get_extra_info("sockname")
    transport.abort()


async def test_serving_may_begin_later() -> None:
    async with Serving(start_serving=False) as serving:
        assert not serving.server.is_serving()
        with pytest.raises(ConnectionRefusedError):
            await create_connection(Recorder, "127.0.0.1", serving.port, ssl=CLIENT)
        await serving.server.start_serving()
        await serving.server.start_serving()
        transport, _ = await serving.connect()
        transport.abort()
    with pytest.raises(RuntimeError, match="is closed"):
        await serving.server.start_serving()
    assert not serving.server.is_serving()


async def test_several_hosts_are_bound_once_each() -> None:
    async with Serving(host=["127.0.0.1", "127.0.0.2", "127.0.0.1"]) as serving:
        assert {sock.getsockname()[0] for sock in serving.server.sockets} == {"127.0.0.1", "127.0.0.2"}


@pytest.mark.parametrize("host", ["", None])
async def test_no_host_means_every_interface(host: str | None) -> None:
    async with Serving(host=host) as serving:
        families = {sock.family for sock in serving.server.sockets}
        assert socket.AF_INET in families
        # With both families on one port number or not: an IPv6 socket takes no IPv4 connections.
        for sock in serving.server.sockets:
            if sock.family == socket.AF_INET6:
                assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


async def test_a_bound_socket_is_taken() -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    async with Serving(host=None, port=None, sock=sock) as serving:
        transport, _ = await serving.connect()
        transport.abort()
    assert sock.fileno() == -1


async def test_socket_options() -> None:
    async with Serving(reuse_port=True, keep_alive=True) as serving:
        (sock,) = serving.server.sockets
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT, socket.SO_KEEPALIVE):
            assert sock.getsockopt(socket.SOL_SOCKET, option)
        async with Serving(reuse_port=True, port=serving.port) as other:
            assert other.port == serving.port
    async with Serving(reuse_address=False) as serving:
        assert not serving.server.sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)


# ---- arguments and addresses that cannot work ----


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "Neither host/port nor sock were specified"),
        ({"sock": ..., "host": "localhost"}, "can not be specified at the same time"),
        ({"ssl": None, "ssl_handshake_timeout": 5}, "ssl_handshake_timeout is only meaningful with ssl"),
        ({"ssl": None, "ssl_shutdown_timeout": 5}, "ssl_shutdown_timeout is only meaningful with ssl"),
        ({"ssl_handshake_timeout": 0}, "should be a positive number"),
    ],
)
async def test_arguments_that_cannot_work(options: dict[str, Any], message: str) -> None:
    options = {"ssl": SERVER, **options}
    with socket.socket() as sock, pytest.raises(ValueError, match=message):
        if "sock" in options:
            options = {**options, "sock": sock}
        await create_server(Recorder, **options)


async def test_only_stream_sockets() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(ValueError, match="Stream Socket"):
        await create_server(Recorder, sock=sock, ssl=SERVER)


async def test_an_address_in_use_is_named(serving: Serving) -> None:
    with pytest.raises(
        OSError, match=r"error while attempting to bind on address \('127.0.0.1', \d+\)"
    ) as exc:
        await create_server(Recorder, "127.0.0.1", serving.port, ssl=SERVER)
    assert exc.value.errno == errno.EADDRINUSE


async def test_an_address_that_no_interface_has_is_skipped_among_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "asyncio"):
        async with Serving(host=["127.0.0.1", "240.0.0.1"]) as serving:
            assert len(serving.server.sockets) == 1
    assert "cannot bind ('240.0.0.1', 0)" in caplog.text
    with pytest.raises(OSError, match="could not bind on any address"):
        await create_server(Recorder, ["240.0.0.1", "240.0.0.2"], 0, ssl=SERVER)
    with pytest.raises(OSError, match="error while attempting to bind"):
        await create_server(Recorder, "240.0.0.1", 0, ssl=SERVER)


async def test_a_family_that_the_machine_does_not_speak_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    async def addresses(*_: Any, **__: Any) -> list[Any]:
        return [(250, socket.SOCK_STREAM, 6, "", ()), (2, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(server, "resolve", addresses)
    async with Serving() as serving:
        assert len(serving.server.sockets) == 1


@pytest.mark.parametrize("defined", [False, True])
async def test_reuse_port_that_does_not_exist(defined: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if defined:
        monkeypatch.setattr(socket, "SO_REUSEPORT", 12_345)
    else:
        monkeypatch.delattr(socket, "SO_REUSEPORT")
    with pytest.raises(ValueError, match="reuse_port not supported by socket module"):
        await create_server(Recorder, "127.0.0.1", 0, ssl=SERVER, reuse_port=True)


# ---- accepting ----


@pytest.fixture
def file_limit() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def test_out_of_file_descriptors_it_pauses_and_goes_on(
    file_limit: None, complaints: Complaints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ACCEPT_RETRY_DELAY", 0.05)
    async with Serving() as serving:
        waiting = socket.create_connection(("127.0.0.1", serving.port))
        with socket.socket() as probe:
            highest = probe.fileno()
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
        async with asyncio.timeout(PATIENCE):
            while not complaints:
                await asyncio.sleep(0)
        await turns(50)
        context = complaints.take()
        # One complaint, and no busy loop: the listening socket is not looked at any more.
        assert context["message"] == "socket.accept() out of system resource"
        assert context["exception"].errno == errno.EMFILE
        assert not serving.accepted.is_set()
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        async with asyncio.timeout(PATIENCE):
            await serving.accepted.wait()
        complaints.clear()
        waiting.close()


async def test_closing_while_accepting_is_paused(
    complaints: Complaints, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Serving() as serving:
        listener = serving.server._sockets[0]
        serving.server._pause_accepting(listener, OSError(errno.ENOBUFS, "No buffer space available"))
        assert complaints.take()["socket"].fileno() == listener.fileno()
    assert serving.server._retries == {}


async def test_a_handler_may_close_the_server_whose_accepting_fails() -> None:
    async with Serving() as serving:
        server = serving.server
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: server.close())
        server._pause_accepting(server._sockets[0], OSError(errno.EMFILE, "Too many open files"))
        assert server.sockets == ()
        assert server._retries == {}


class Failing(socket.socket):
    """A listening socket whose accept fails as told, then works."""

    failures: list[OSError]

    def accept(self) -> tuple[socket.socket, Any]:
        if self.failures:
            raise self.failures.pop(0)
        return super().accept()


async def failing_listener(*errors: int) -> Failing:
    listener = Failing(fileno=socket.create_server(("127.0.0.1", 0)).detach())
    listener.failures = [OSError(number, os.strerror(number)) for number in errors]
    return listener


async def test_a_connection_that_died_in_the_queue_is_skipped() -> None:
    listener = await failing_listener(errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.EINTR)
    async with Serving(host=None, port=None, sock=listener) as serving:
        transport, _ = await serving.connect()
        transport.abort()


async def test_any_other_error_is_reported_and_survived(
    complaints: Complaints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ACCEPT_RETRY_DELAY", 0.0)
    listener = await failing_listener(errno.EIO)
    async with Serving(host=None, port=None, sock=listener) as serving:
        transport, _ = await serving.connect()
        assert complaints.take()["message"] == "socket.accept() failed"
        transport.abort()


async def test_several_are_accepted_at_one_wakeup() -> None:
    async with Serving(start_serving=False) as serving:
        serving.server._sockets[0].listen(10)
        clients = [socket.create_connection(("127.0.0.1", serving.port)) for _ in range(5)]
        serving.server._serving = True
        serving.server._accept(serving.server._sockets[0])
        assert len(serving.protocols) == 5
        serving.server._serving = False
        for client in clients:
            client.close()


async def test_one_wakeup_accepts_a_backlog_at_most() -> None:
    async with Serving(start_serving=False, backlog=2) as serving:
        serving.server._sockets[0].listen(10)
        clients = [socket.create_connection(("127.0.0.1", serving.port)) for _ in range(5)]
        serving.server._accept(serving.server._sockets[0])
        assert len(serving.protocols) == 2
        for client in clients:
            client.close()


async def test_a_backlog_of_nothing_still_accepts() -> None:
    async with Serving(start_serving=False, backlog=0) as serving:
        serving.server._start_serving()
        with socket.create_connection(("127.0.0.1", serving.port)):
            async with asyncio.timeout(PATIENCE):
                while not serving.protocols:
                    await asyncio.sleep(0)


async def test_a_factory_that_raises_harms_no_other_connection(complaints: Complaints) -> None:
    async with Serving() as serving:
        make = serving.server._protocol_factory

        def fail() -> Recorder:
            serving.server._protocol_factory = make
            raise LookupError("no protocol")

        serving.server._protocol_factory = fail
        with pytest.raises((TruncationError, ConnectionError)):
            await create_connection(Recorder, "127.0.0.1", serving.port, ssl=CLIENT)
        context = complaints.take()
        assert context["message"] == "Error on transport creation for incoming connection"
        assert isinstance(context["exception"], LookupError)
        transport, _ = await serving.connect()
        transport.abort()


async def test_a_factory_may_close_the_server() -> None:
    serving = Serving()

    def make() -> Recorder:
        serving.server.close()
        return Recorder()

    serving.make = make  # type: ignore[method-assign]
    async with serving:
        port = serving.port
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        async with asyncio.timeout(PATIENCE):
            while serving.server.is_serving():
                await asyncio.sleep(0)
        for client in clients:
            client.close()


async def test_an_interrupt_in_a_factory_goes_on_up() -> None:
    async with Serving() as serving:

        def interrupt() -> Recorder:
            raise KeyboardInterrupt

        make = serving.server._protocol_factory
        serving.server._protocol_factory = interrupt
        serving.server._loop.remove_reader(serving.server._sockets[0].fileno())
        with socket.create_connection(("127.0.0.1", serving.port)), pytest.raises(KeyboardInterrupt):
            serving.server._accept(serving.server._sockets[0])
        serving.server._protocol_factory = make


async def test_a_socket_that_cannot_be_watched_is_dropped(complaints: Complaints, monkeypatch: Any) -> None:
    def refuse(transport: Any) -> None:
        raise RuntimeError("is used by transport")

    async with Serving() as serving:
        monkeypatch.setattr(server.Transport, "start", refuse)
        with socket.create_connection(("127.0.0.1", serving.port)) as client:
            assert await asyncio.get_running_loop().run_in_executor(None, client.recv, 1) == b""
        assert "is used by transport" in str(complaints.take()["exception"])
        monkeypatch.undo()


async def test_a_failed_handshake_is_the_clients_affair(serving: Serving) -> None:
    """No complaint, no protocol told, and the server goes on."""
    loop = asyncio.get_running_loop()
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x01\x00", b""):
        with socket.create_connection(("127.0.0.1", serving.port)) as client:
            client.sendall(garbage)
            client.shutdown(socket.SHUT_WR)
            client.setblocking(False)
            while await loop.sock_recv(client, 1000):
                pass
    transport, _ = await serving.connect()
    assert [protocol.calls for protocol in serving.protocols[:-1]] == [[]] * 3
    assert len(serving.server._clients) == 1
    transport.abort()


async def test_a_silent_client_is_given_up() -> None:
    async with Serving(ssl_handshake_timeout=0.01) as serving:
        with socket.create_connection(("127.0.0.1", serving.port)) as client:
            client.setblocking(False)
            assert await asyncio.get_running_loop().sock_recv(client, 1) == b""


# ---- the end ----


async def test_wait_closed_waits_for_the_server_and_its_connections(serving: Serving) -> None:
    transport, _ = await serving.connect()
    waiters = [asyncio.create_task(serving.server.wait_closed()) for _ in range(2)]
    await turns()
    assert not any(waiter.done() for waiter in waiters)
    serving.server.close()
    await turns()
    # Closed, but a connection lives.
    assert not any(waiter.done() for waiter in waiters)
    waiters[0].cancel()
    transport.close()
    await waiters[1]
    assert await serving.protocols[0].gone() is None
    await serving.server.wait_closed()


async def test_wait_closed_of_a_server_that_is_not_closed(serving: Serving) -> None:
    waiter = asyncio.create_task(serving.server.wait_closed())
    transport, recorder = await serving.connect()
    transport.abort()
    await recorder.gone()
    await serving.protocols[0].gone()
    await turns()
    # The last connection is gone, but the server is open.
    assert not waiter.done()
    serving.server.close()
    await waiter


async def test_close_clients_lets_them_finish(serving: Serving) -> None:
    _, recorder = await serving.connect()
    serving.protocols[0].transport.write(bytes(300_000))
    serving.server.close_clients()
    assert await recorder.gone() is None
    assert len(recorder.data) == 300_000


async def test_abort_clients_does_not(serving: Serving) -> None:
    _, recorder = await serving.connect()
    serving.server.abort_clients()
    assert isinstance(await recorder.gone(), TruncationError)


async def test_serve_forever_ends_with_its_cancellation(serving: Serving) -> None:
    task = asyncio.create_task(serving.server.serve_forever())
    _, recorder = await serving.connect()
    with pytest.raises(RuntimeError, match="already being awaited on serve_forever"):
        await serving.server.serve_forever()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # No connection is left behind, and it did not hang on one.
    assert await recorder.gone() is None
    with pytest.raises(RuntimeError, match="is closed"):
        await serving.server.serve_forever()


async def test_serve_forever_ends_with_close(serving: Serving) -> None:
    task = asyncio.create_task(serving.server.serve_forever())
    await turns()
    serving.server.close()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_it_is_a_context_manager() -> None:
    serving = Serving()
    async with await create_server(serving.make, "127.0.0.1", 0, ssl=SERVER) as made:
        assert isinstance(made, Server)
        assert made.is_serving()
    assert made.sockets == ()


async def test_a_dropped_transport_does_not_hang_wait_closed(serving: Serving) -> None:
    transport, _ = await serving.connect()
    accepted = serving.protocols[0].transport
    accepted.pause_reading()
    accepted._core._ignore_reads()
    serving.protocols[0].transport = None
    await turns()
    with pytest.warns(ResourceWarning) as caught:
        del accepted
        gc.collect()
    # The socket, which goes with it, may say so too.
    assert any("unclosed transport" in str(each.message) for each in caught)
    serving.server.close()
    await serving.server.wait_closed()
    transport.abort()


async def test_starting_that_fails_closes_the_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    sock = socket.create_server(("127.0.0.1", 0))

    def refuse(server: Server) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(Server, "_start_serving", refuse)
    with pytest.raises(OSError, match="not supported"):
        await create_server(Recorder, sock=sock, ssl=SERVER)
    assert sock.fileno() == -1


# ---- unix sockets ----


async def test_a_unix_path_is_removed_with_the_server(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    made = await create_unix_server(Recorder, path, ssl=SERVER)
    assert path.is_socket()
    made.close()
    assert not path.exists()
    made = await create_unix_server(Recorder, path, ssl=SERVER, cleanup_socket=False)
    made.close()
    assert path.is_socket()
    # A stale one is replaced.
    made = await create_unix_server(Recorder, path, ssl=SERVER)
    # A path that another server took over is left to it.
    other = await create_unix_server(Recorder, path, ssl=SERVER)
    made.close()
    assert path.is_socket()
    other.close()
    assert not path.exists()


async def test_a_path_removed_by_somebody_else(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    made = await create_unix_server(Recorder, str(path), ssl=SERVER)
    path.unlink()
    made.close()


async def test_an_abstract_unix_address_has_no_file() -> None:
    name = f"\0tlswrite-{os.getpid()}-{threading.get_ident()}"
    made = await create_unix_server(Recorder, name, ssl=SERVER)
    made.close()


async def test_a_bound_unix_socket_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    made = await create_unix_server(Recorder, sock=sock, ssl=SERVER)
    made.close()
    assert not path.exists()


async def test_unix_addresses_that_cannot_work(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    taken = tmp_path / "file"
    taken.write_text("no socket")
    with pytest.raises(OSError, match="is already in use"):
        await create_unix_server(Recorder, taken, ssl=SERVER)
    with pytest.raises(OSError, match="No such file or directory"):
        await create_unix_server(Recorder, tmp_path / "no" / "directory", ssl=SERVER)
    with pytest.raises(OSError, match=r"Not a directory|too long"):
        await create_unix_server(Recorder, taken / "below", ssl=SERVER)
    assert "Unable to check or remove stale UNIX socket" in caplog.text
    with pytest.raises(ValueError, match="null"):
        await create_unix_server(Recorder, "with\0null", ssl=SERVER)
    with pytest.raises(TypeError):
        await create_unix_server(Recorder, 5, ssl=SERVER)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="path was not specified, and no sock specified"):
        await create_unix_server(Recorder, ssl=SERVER)
    with pytest.raises(ValueError, match="ssl_shutdown_timeout is only meaningful with ssl"):
        await create_unix_server(Recorder, taken, ssl_shutdown_timeout=5)
    with socket.socket() as sock:
        with pytest.raises(ValueError, match="A UNIX Domain Stream Socket was expected"):
            await create_unix_server(Recorder, sock=sock, ssl=SERVER)
        with pytest.raises(ValueError, match="at the same time"):
            await create_unix_server(Recorder, taken, sock=sock, ssl=SERVER)


async def test_the_test_drives_a_client_by_hand(serving: Serving) -> None:
    """One-byte pieces through the whole handshake and back."""
    sock = socket.create_connection(("127.0.0.1", serving.port))
    sock.setblocking(False)
    peer = Peer(engine.client(), sock)
    await peer.handshake()
    for byte in b"slowly":
        await peer.send(bytes((byte,)))
    async with asyncio.timeout(PATIENCE):
        while not serving.protocols or len(serving.protocols[0].data) < 6:
            await asyncio.sleep(0)
    assert serving.protocols[0].data == b"slowly"
