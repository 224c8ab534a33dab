"""PostgreSQL: asyncpg, pg8000 on the blocking carrier, and libpq (psycopg) through a proxy of this package's.

libpq has an OpenSSL of its own. What it shows is the other side: with `channel_binding=require` it refuses any
server that does not prove to know the very certificate that TLS was made with (RFC 5929 §4, RFC 5802 §6).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pg8000.dbapi
import psycopg
import pytest

import tlswrite
from tests.live.roads import SIZES, check_road, data_of, digest_of, is_fast, server_context
from tests.live.services import PASSWORD, USER, Service, postgresql
from tests.support import engine, pki

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
ROW = 256 * 1024


@pytest.fixture(scope="module")
def server() -> Iterator[Service]:
    with postgresql() as service:
        yield service


def rows_of(size: int) -> list[tuple[int, bytes]]:
    data = data_of(size)
    return [(at // ROW, data[at : at + ROW]) for at in range(0, size, ROW)]


IN_SESSION = "select ssl, version, cipher from pg_stat_ssl where pid = pg_backend_pid()"
IN_TABLE = "select encode(sha256(string_agg(data, ''::bytea order by n)), 'hex') from rows"


# ---- asyncpg ----------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def connected(server: Service, context: ssl.SSLContext, **options: Any) -> AsyncIterator[Any]:
    """asyncpg, as applications have it."""
    settings = {"port": server.port, "user": USER, "password": PASSWORD, "database": "postgres", **options}
    connection = await asyncpg.connect(host="localhost", ssl=context, **settings)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.mark.parametrize("size", SIZES)
async def test_asyncpg_copies_up_and_down(
    size: int, server: Service, client_context: tlswrite.SSLContext
) -> None:
    async with connected(server, client_context) as connection:
        check_road(connection._transport)
        assert tuple(await connection.fetchrow(IN_SESSION)) == (True, "TLSv1.3", cipher_of(connection))
        await connection.execute("create temporary table rows (n int primary key, data bytea)")
        status = await connection.copy_records_to_table("rows", records=rows_of(size))
        assert status == f"COPY {len(rows_of(size))}"
        assert await connection.fetchval(IN_TABLE) == digest_of(size)
        digest = hashlib.sha256()
        async with connection.transaction():
            async for row in connection.cursor("select data from rows order by n", prefetch=8):
                digest.update(row["data"])
        assert digest.hexdigest() == digest_of(size)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
async def test_asyncpg_has_rows_and_values_as_they_are(
    version: str, server: Service, client_context: tlswrite.SSLContext
) -> None:
    client_context.minimum_version = client_context.maximum_version = ssl.TLSVersion[version]
    size = 1 << 20
    async with connected(server, client_context) as connection:
        assert await connection.fetchval("select version from pg_stat_ssl where pid = pg_backend_pid()") == (
            version.replace("_", ".")
        )
        assert await connection.fetchval("select encode(sha256($1), 'hex')", data_of(size)) == digest_of(size)
        assert await connection.fetchval("select $1::bytea", data_of(size)) == data_of(size)
        rows = await connection.fetch("select n, n::text from generate_series(1, 20000) n")
        assert [tuple(row) for row in rows] == [(n, str(n)) for n in range(1, 20001)]


async def test_asyncpg_with_a_pool(server: Service, client_context: tlswrite.SSLContext) -> None:
    async with asyncpg.create_pool(
        host="localhost",
        port=server.port,
        user=USER,
        password=PASSWORD,
        database="postgres",
        ssl=client_context,
        min_size=2,
        max_size=8,
    ) as pool:

        async def ask(number: int) -> bytes:
            return await pool.fetchval("select $1::bytea", data_of(number))

        sizes = range(1, 40_000, 400)
        assert await asyncio.gather(*map(ask, sizes)) == [data_of(size) for size in sizes]


async def test_asyncpg_cancels_a_query(server: Service, client_context: tlswrite.SSLContext) -> None:
    """Which is a second connection, that says no more than what to cancel."""
    async with connected(server, client_context) as connection:
        with pytest.raises(TimeoutError):
            await connection.execute("select pg_sleep(600)", timeout=0.2)
        assert await connection.fetchval("select 1") == 1


async def test_asyncpg_hears_notifications(server: Service, client_context: tlswrite.SSLContext) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with connected(server, client_context) as one, connected(server, client_context) as other:
        await one.add_listener("news", lambda *news: heard.put_nowait(news[-1]))
        await other.execute("notify news, 'something'")
        async with asyncio.timeout(30):
            assert await heard.get() == "something"


async def test_asyncpg_meets_the_end_of_its_backend(
    server: Service, client_context: tlswrite.SSLContext
) -> None:
    async with connected(server, client_context) as connection:
        with pytest.raises(asyncpg.ConnectionDoesNotExistError, match="administrator command"):
            await connection.execute("select pg_terminate_backend(pg_backend_pid()), pg_sleep(600)")


async def test_asyncpg_tells_a_stranger(server: Service) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        async with connected(server, tlswrite.create_default_context()):
            pass


async def test_asyncpg_makes_a_context_by_itself(installed: None, server: Service, tmp_path: Path) -> None:
    """An application with all its settings in a URL changes nothing but `tlswrite.install()`."""
    root = tmp_path / "root.pem"
    root.write_bytes(pki.authority().certificate_pem)
    url = f"postgresql://{USER}@localhost:{server.port}/postgres?sslmode=verify-full&sslrootcert={root}"
    connection = await asyncpg.connect(url, password=PASSWORD)
    try:
        assert is_fast(connection._transport)
        assert await connection.fetchval("select $1::bytea", data_of(100_000)) == data_of(100_000)
    finally:
        await connection.close()


# ---- pg8000 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_pg8000_binds_to_the_channel(
    version: str, server: Service, client_context: tlswrite.SSLContext
) -> None:
    client_context.minimum_version = client_context.maximum_version = ssl.TLSVersion[version]
    with contextlib.closing(pg8000_connection(server, client_context)) as connection:
        assert isinstance(connection._usock, tlswrite.SSLContext.sslsocket_class)
        assert connection.auth.mechanism_name == "SCRAM-SHA-256-PLUS"
        bound_to = connection._usock.get_channel_binding("tls-server-end-point")
        assert bound_to == hashlib.sha256(engine.issued().certificate_der).digest()
        cursor = connection.cursor()
        cursor.execute("select ssl, version from pg_stat_ssl where pid = pg_backend_pid()")
        assert tuple(cursor.fetchone()) == (True, version.replace("_", "."))


@pytest.mark.parametrize("size", SIZES)
def test_pg8000_up_and_down(size: int, server: Service, client_context: tlswrite.SSLContext) -> None:
    with contextlib.closing(pg8000_connection(server, client_context)) as connection:
        cursor = connection.cursor()
        cursor.execute("create temporary table rows (n int primary key, data bytea)")
        for row in rows_of(size):
            cursor.execute("insert into rows values (%s, %s)", row)
        cursor.execute(IN_TABLE)
        assert cursor.fetchone()[0] == digest_of(size)
        digest = hashlib.sha256()
        for n, _ in rows_of(size):
            cursor.execute("select data from rows where n = %s", (n,))
            digest.update(cursor.fetchone()[0])
        assert digest.hexdigest() == digest_of(size)


def pg8000_connection(server: Service, context: ssl.SSLContext) -> Any:
    return pg8000.dbapi.connect(
        USER,
        host="localhost",
        port=server.port,
        password=PASSWORD,
        database="postgres",
        ssl_context=context,
    )


# ---- libpq ------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def terminating_proxy(
    context: ssl.SSLContext, server: Service, onward_context: ssl.SSLContext, *, direct: bool = False
) -> AsyncIterator[int]:
    """TLS ends here and begins again: to a client this is PostgreSQL, by the same certificate. Its port.

    `direct`: TLS from the first byte, by ALPN, as PostgreSQL 17 has it.
    """
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        if direct:
            assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "postgresql"
        else:
            assert await reader.readexactly(8) == SSL_REQUEST
            writer.write(b"S")
            await writer.start_tls(context)
        check_road(writer.transport)
        there, onward = await asyncio.open_connection("127.0.0.1", server.port)
        onward.write(SSL_REQUEST)
        assert await there.readexactly(1) == b"S"
        await onward.start_tls(onward_context, server_hostname="localhost")
        check_road(onward.transport)
        await asyncio.gather(pump(reader, onward), pump(there, writer))
        for each in (writer, onward):
            with contextlib.suppress(OSError):
                await each.wait_closed()

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context if direct else None)
    try:
        yield proxy.sockets[0].getsockname()[1]
    finally:
        proxy.close()
        async with asyncio.timeout(30):
            await asyncio.gather(*tasks)


def libpq(port: int, directory: Path, **options: Any) -> Any:
    """A connection of psycopg's that insists on the name, the chain and the binding."""
    root = directory / "root.pem"
    root.write_bytes(pki.authority().certificate_pem)
    return psycopg.AsyncConnection.connect(
        host="localhost",
        hostaddr="127.0.0.1",
        port=port,
        user=USER,
        password=PASSWORD,
        dbname="postgres",
        sslmode="verify-full",
        sslrootcert=str(root),
        channel_binding="require",
        gssencmode="disable",
        autocommit=True,
        **options,
    )


@pytest.mark.parametrize("size", SIZES)
async def test_libpq_binds_through_the_proxy_and_copies(
    size: int,
    tmp_path: Path,
    server: Service,
    server_context: tlswrite.SSLContext,
    client_context: tlswrite.SSLContext,
) -> None:
    async with (
        terminating_proxy(server_context, server, client_context) as port,
        await libpq(port, tmp_path) as connection,
        connection.cursor(binary=True) as cursor,
    ):
        await cursor.execute("create temporary table rows (n int primary key, data bytea)")
        async with cursor.copy("copy rows from stdin (format binary)") as copy:
            copy.set_types(("int4", "bytea"))
            for row in rows_of(size):
                await copy.write_row(row)
        await cursor.execute(IN_TABLE)
        assert await cursor.fetchone() == (digest_of(size),)
        digest = hashlib.sha256()
        async with cursor.copy("copy (select data from rows order by n) to stdout (format binary)") as copy:
            copy.set_types(("bytea",))
            async for (data,) in copy.rows():
                digest.update(data)
        assert digest.hexdigest() == digest_of(size)


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
async def test_libpq_binds_in_each_version(
    version: str,
    tmp_path: Path,
    server: Service,
    server_context: tlswrite.SSLContext,
    client_context: tlswrite.SSLContext,
) -> None:
    async with (
        terminating_proxy(server_context, server, client_context) as port,
        await libpq(port, tmp_path, ssl_max_protocol_version=version) as connection,
        await connection.execute("select 1") as cursor,
    ):
        assert await cursor.fetchone() == (1,)


async def test_libpq_with_tls_from_the_first_byte(
    tmp_path: Path, server: Service, client_context: tlswrite.SSLContext
) -> None:
    if psycopg.pq.version() < 170000:
        pytest.skip("this libpq is older than direct TLS")
    context = server_context(tmp_path, "postgresql")
    async with (
        terminating_proxy(context, server, client_context, direct=True) as port,
        await libpq(port, tmp_path, sslnegotiation="direct") as connection,
        await connection.execute("select %b::bytea", (data_of(100_000),)) as cursor,
    ):
        assert await cursor.fetchone() == (data_of(100_000),)


async def test_asyncpg_with_tls_from_the_first_byte(
    tmp_path: Path, server: Service, client_context: tlswrite.SSLContext
) -> None:
    client_context.set_alpn_protocols(["postgresql"])
    context = server_context(tmp_path, "postgresql")
    async with (
        terminating_proxy(context, server, client_context, direct=True) as port,
        connected(server, client_context, port=port, direct_tls=True) as connection,
    ):
        check_road(connection._transport)
        assert await connection.fetchval("select $1::bytea", data_of(100_000)) == data_of(100_000)


async def test_libpq_refuses_a_proxy_with_a_certificate_of_its_own(
    tmp_path: Path, server: Service, client_context: tlswrite.SSLContext
) -> None:
    """Though its chain and name are in order: PostgreSQL knows another certificate."""
    files = pki.write(tmp_path, pki.issue(key_type="ecdsa_secp384r1"), "other")
    assert engine.issued().certificate_pem not in files.certfile.read_bytes()
    other = tlswrite.create_default_context(ssl.Purpose.CLIENT_AUTH)
    other.load_cert_chain(files.certfile, files.keyfile)
    async with terminating_proxy(other, server, client_context) as port:
        with pytest.raises(psycopg.OperationalError, match="channel binding"):
            await libpq(port, tmp_path)


def cipher_of(connection: Any) -> str:
    name: str = connection._transport.get_extra_info("cipher")[0]
    return name
