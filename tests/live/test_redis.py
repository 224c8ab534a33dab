"""redis-py, which makes its context by itself: what an application changes is `tlswrite.install()`, once."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
import uvloop

import tlswrite
from tests.live import services
from tests.live.roads import SIZES, data_of, digest_of, is_fast
from tests.live.services import PASSWORD, Service
from tests.support import engine, pki


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with services.redis(tmp_path_factory.mktemp("redis")) as service:
        yield service


@pytest.fixture
def options(server: Service, tmp_path: Path) -> dict[str, Any]:
    """How an application reaches its Redis: by TLS, with a certificate and a password."""
    files = pki.write(tmp_path, engine.issued(client=True), "client")
    return {
        "host": "localhost",
        "port": server.port,
        "password": PASSWORD,
        "ssl": True,
        "ssl_ca_certs": str(files.cafile),
        "ssl_certfile": str(files.certfile),
        "ssl_keyfile": str(files.keyfile),
    }


@contextlib.asynccontextmanager
async def client(options: dict[str, Any], **more: Any) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis(**options, **more) as made:
        yield made
        connection = made.connection or await made.connection_pool.get_connection()
        check_installed(connection)
        if connection is not made.connection:
            await made.connection_pool.release(connection)
        await made.flushall()


def check_installed(connection: Any) -> None:
    """On loops that the application chose without a thought of this package, its transport is ours."""
    transport = connection._writer.transport
    assert is_fast(transport), transport
    assert isinstance(transport.get_extra_info("ssl_object"), ssl.SSLObject)


@pytest.mark.parametrize("size", SIZES)
async def test_up_and_down(size: int, installed: None, options: dict[str, Any]) -> None:
    async with client(options) as there:
        assert await there.set("key", data_of(size))
        assert await there.strlen("key") == size
        sha1 = await there.eval("return redis.sha1hex(redis.call('get', KEYS[1]))", 1, "key")
        assert sha1.decode() == hashlib.sha1(data_of(size)).hexdigest()
        data = await there.get("key")
        assert hashlib.sha256(data).hexdigest() == digest_of(size)


async def test_a_pipeline(installed: None, options: dict[str, Any]) -> None:
    """Many small answers in few records."""
    async with client(options) as there, there.pipeline(transaction=False) as pipe:
        sizes = [number * 7 for number in range(1000)]
        for size in sizes:
            pipe.set(f"key {size}", data_of(size))
            pipe.get(f"key {size}")
        answers = await pipe.execute()
        assert answers[0::2] == [True] * len(sizes)
        assert answers[1::2] == [data_of(size) for size in sizes]


async def test_tls_1_2(installed: None, options: dict[str, Any], tmp_path: Path) -> None:
    with services.redis(tmp_path, "TLSv1.2") as server:
        async with client({**options, "port": server.port}, single_connection_client=True) as there:
            assert await there.set("key", data_of(1 << 20))
            assert await there.get("key") == data_of(1 << 20)
            transport = there.connection._writer.transport
            assert transport.get_extra_info("ssl_object").version() == "TLSv1.2"


async def test_many_connections_at_once(installed: None, options: dict[str, Any]) -> None:
    async with client(options, max_connections=10) as there:

        async def turn(number: int) -> bytes:
            await there.set(f"key {number}", data_of(number))
            return await there.get(f"key {number}")

        sizes = range(1, 10_000, 1000)
        assert await asyncio.gather(*map(turn, sizes)) == [data_of(size) for size in sizes]
        assert len(await there.client_list()) > 1


async def test_messages_to_subscribers(installed: None, options: dict[str, Any]) -> None:
    async with client(options) as there, there.pubsub() as listener:
        await listener.subscribe("news")
        assert (await listener.get_message(timeout=30))["type"] == "subscribe"
        for size in (1, 100_000):
            assert await there.publish("news", data_of(size)) == 1
            assert (await listener.get_message(timeout=30))["data"] == data_of(size)
        await listener.unsubscribe("news")


async def test_a_wait_that_is_given_up(installed: None, options: dict[str, Any]) -> None:
    """The answer that comes too late is nobody's: redis-py drops the connection, and has another."""
    async with client(options) as there:
        # Connected first: redis-py can swallow a cancellation while it connects, with OpenSSL's TLS too.
        assert await there.ping()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await there.blpop("nothing")
        await there.set("key", b"value")
        assert await there.get("key") == b"value"


async def test_the_server_ends_a_connection(installed: None, options: dict[str, Any]) -> None:
    async with client(options) as there, client(options, single_connection_client=True) as other:
        number = await other.client_id()
        await there.client_kill_filter(_id=str(number))
        assert await other.ping()
        assert await other.client_id() != number


async def test_no_certificate(installed: None, options: dict[str, Any]) -> None:
    """In TLS 1.3 a server's refusal comes after the handshake, and with the first answer."""
    for name in ("ssl_certfile", "ssl_keyfile"):
        del options[name]
    async with redis.asyncio.Redis(**options, retry=None) as there:
        # A write that comes between the alert and the end finds no more than the end.
        with pytest.raises(redis.exceptions.ConnectionError, match=r"(?i)certificate|connection lost"):
            await there.ping()


async def test_a_stranger(installed: None, options: dict[str, Any], tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(pki.stranger().certificate_pem)
    async with redis.asyncio.Redis(**{**options, "ssl_ca_certs": str(stranger)}, retry=None) as there:
        with pytest.raises(redis.exceptions.ConnectionError, match=r"(?i)certificate"):
            await there.ping()


@pytest.mark.parametrize("factory", [asyncio.SelectorEventLoop, uvloop.new_event_loop])
def test_loops_that_know_nothing_of_this_package(
    factory: Callable[[], asyncio.AbstractEventLoop], installed: None, options: dict[str, Any]
) -> None:
    async def main() -> bytes | None:
        async with client(options) as there:
            await there.set("key", data_of(1000))
            return await there.get("key")

    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(main()) == data_of(1000)


# ---- the blocking client ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_the_blocking_client(size: int, installed: None, options: dict[str, Any]) -> None:
    with redis.Redis(**options) as there:
        assert there.set("key", data_of(size))
        data = there.get("key")
        assert isinstance(data, bytes)
        assert hashlib.sha256(data).hexdigest() == digest_of(size)
        with there.pipeline(transaction=False) as pipe:
            for number in range(1000):
                pipe.set("key", str(number)).get("key")
            assert pipe.execute()[1::2] == [str(number).encode() for number in range(1000)]
        (connection,) = there.connection_pool._available_connections
        assert isinstance(connection._sock, tlswrite.SSLContext.sslsocket_class)
        there.flushall()
