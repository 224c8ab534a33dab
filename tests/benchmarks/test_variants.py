from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from benchmarks.variants import (
    DEFAULTS_VARIANTS,
    VARIANTS,
    Bed,
    Identity,
    Plain,
    StandardSSL,
    Variant,
    make_identity,
)
from benchmarks.workloads import EchoClient, EchoServer


class OlderSSL(StandardSSL):
    """A peer that would be let off with TLS 1.2."""

    def client_context(self, identity: Identity, *, resume: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=identity.cafile)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context

    def server_context(self, identity: Identity, *, resume: bool = False) -> ssl.SSLContext:
        context = super().server_context(identity)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return make_identity(tmp_path_factory.mktemp("identity"))


def present(variants: tuple[Variant, ...]) -> list[Variant]:
    return [variant for variant in variants if variant.missing() is None]


@pytest.mark.parametrize("variant", present(VARIANTS + DEFAULTS_VARIANTS), ids=lambda variant: variant.name)
def test_every_variant_negotiates_the_same_and_has_the_same_sockets(
    variant: Variant, identity: Identity
) -> None:
    seen = {}

    class Server(EchoServer):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            seen["server"] = options(transport)

    async def scenario(bed: Bed) -> None:
        await bed.serve(Server)
        transport, client = await bed.connect_socket(lambda: EchoClient(b"there and back"))
        assert isinstance(client, EchoClient)
        await client.begin(1)
        assert options(transport) == seen["server"]
        transport.abort()
        await client.lost

    bed = variant.open(identity)
    try:
        bed.run(scenario(bed))
    finally:
        bed.close()


def options(transport: asyncio.BaseTransport) -> tuple[int, ...]:
    import socket

    sock = transport.get_extra_info("socket")
    return (
        sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0,
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF),
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF),
    )


@pytest.mark.parametrize("library, complaint", [(OlderSSL(), "like for like"), (Plain(), None)])
def test_an_unequal_negotiation_is_refused(
    library: StandardSSL | Plain, complaint: str | None, identity: Identity
) -> None:
    async def scenario(bed: Bed) -> None:
        await bed.serve(EchoServer)
        transport, client = await bed.connect(lambda: EchoClient(b""))
        try:
            if complaint is None:
                library.check(transport)
            else:
                with pytest.raises(RuntimeError, match=complaint):
                    library.check(transport)
                with pytest.raises(RuntimeError, match="TLS where none"):
                    Plain().check(transport)
        finally:
            transport.abort()
            assert isinstance(client, EchoClient)
            await client.lost

    bed = Variant("another", library, "asyncio").open(identity)
    try:
        bed.run(scenario(bed))
    finally:
        bed.close()


def test_what_is_missing_is_named() -> None:
    class Absent(StandardSSL):
        module = "a_library_that_nobody_has"

    assert Variant("absent", Absent(), "asyncio").missing() == "a_library_that_nobody_has"
    assert Variant("there", StandardSSL(), "asyncio").missing() is None


def test_the_certificate_is_for_the_name_and_issued_by_the_root(tmp_path: Path) -> None:
    identity = make_identity(tmp_path)
    context = ssl.create_default_context(cafile=identity.cafile)
    assert len(context.get_ca_certs()) == 1
    assert context.verify_mode is ssl.CERT_REQUIRED
