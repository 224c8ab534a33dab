"""`tlswrite demo`: a file through a slow reader, in one process and with no configuration.

Makes a certificate, starts a server whose reader is slow, connects with `create_connection`, writes a file
and shows what the writes met on their way: how often they wanted WRITE or READ, how much ciphertext was
ever held. The same file then goes the same way through asyncio's own TLS, and through both once more to a
reader that does not rest: with the slow reader its rests weigh most, without it the library does.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import tlswrite
from tlswrite.cli.progress import progress
from tlswrite.cli.transfer import Connect, Factory, Serve, Transfer, transfer
from tlswrite.crypto.selfsigned import Issued, make_certificate
from tlswrite.iana import CipherSuite, SignatureScheme, name_of
from tlswrite.limits import SEND_WINDOW

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "send a file through a slow reader and show what its writes met"

NAME = "localhost"
MIB = 1 << 20
DEFAULT_SIZE = "256MiB"

#: What Python's `ssl` negotiates with itself, so that both encrypt alike.
SUITE = CipherSuite.TLS_AES_256_GCM_SHA384

OURS = "tlswrite"
_PACE = {True: "slow reader", False: "full speed"}


@dataclass(frozen=True, slots=True)
class Sides:
    """How one library serves and connects."""

    serve: Serve
    connect: Connect


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="what to send; else one is made")
    parser.add_argument(
        "--size", type=parse_size, default=parse_size(DEFAULT_SIZE), help=f"of the file made ({DEFAULT_SIZE})"
    )
    parser.add_argument("--port", type=int, default=0, help="of the server on this machine (any free one)")
    parser.add_argument(
        "--loop", choices=("asyncio", "uvloop"), default="asyncio", help="event loop (asyncio)"
    )


def run(options: argparse.Namespace) -> int:
    """Exit status: 0 where the hashes of both ends are equal. Raises OSError, KeyboardInterrupt."""
    with (
        _file(options.file, options.size) as (file, size),
        asyncio.Runner(loop_factory=_loop_factory(options.loop)) as runner,
    ):
        return runner.run(_demo(file, size, options.port))


def parse_size(text: str) -> int:
    """Bytes: 1000000, 64KiB, 256MiB, 1GiB; a unit may be cut short (64K, 256m)."""
    match = re.fullmatch(r"(\d+)\s*(?:([kmg])(?:i?b)?|b)?", text.strip().lower())
    if match is None:
        raise argparse.ArgumentTypeError(f"not a size: {text!r} (say 256MiB)")
    number, unit = match.groups()
    return int(number) << {None: 0, "k": 10, "m": 20, "g": 30}[unit]


def make_file(file: BinaryIO, size: int) -> None:
    """Fill `file` with `size` random bytes. Raises OSError, for one where the disk is full."""
    with progress("making the file", size) as report:
        for at in range(0, size, MIB):
            file.write(os.urandom(min(MIB, size - at)))
            report(at)
        file.flush()


async def _demo(file: BinaryIO, size: int, port: int) -> int:
    loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    libraries = _libraries(f"{loop}'s ssl")
    print(f"sending {size:,} bytes to a slow reader, on the event loop of {loop}", flush=True)
    done: dict[tuple[str, bool], Transfer] = {}
    for slow in (True, False):
        for name, sides in libraries.items():
            with progress(f"{name}, {_PACE[slow]}", size) as report:
                one = await transfer(
                    file, size, sides.serve, sides.connect, slow=slow, port=port, report=report
                )
            done[name, slow] = one
            if name == OURS and slow:
                _print_transfer(one)
            elif not one.equal:
                print(f"{name}, {_PACE[slow]}: what arrived is not what was sent")
    print(f"\n{'throughput, MiB/s':20}" + "".join(f"{_PACE[slow]:>14}" for slow in (True, False)))
    for name in libraries:
        print(f"{name:20}" + "".join(f"{done[name, slow].rate / MIB:14.0f}" for slow in (True, False)))
    return 0 if all(one.equal for one in done.values()) else 1


def _print_transfer(one: Transfer) -> None:
    connection: tlswrite.TLSConnection = one.tls
    facts, sent = connection.negotiated, connection.send_path
    assert facts is not None
    scheme = name_of(SignatureScheme, facts.signature_scheme or 0)
    print(f"negotiated        {connection.version()}, {facts.suite.name}, {connection.group()}, {scheme}")
    print(f"the writes met    WANT_WRITE {sent.write_wants:,} times, WANT_READ {sent.read_wants:,} times")
    print(f"ciphertext held   at most {sent.most_held:,} bytes; the send window is {SEND_WINDOW:,}")
    print(f"write buffer      at most {one.largest_write_buffer:,} bytes; paused {one.pauses:,} times")
    print(f"SHA-256 sent      {one.sent_digest.hex()}")
    print(f"SHA-256 received  {one.received_digest.hex()} ({'equal' if one.equal else 'NOT EQUAL'})")


def _loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if name == "asyncio":
        return asyncio.SelectorEventLoop
    try:
        import uvloop
    except ImportError:
        raise OSError("uvloop is not installed here") from None
    return uvloop.new_event_loop


@contextmanager
def _file(path: Path | None, size: int) -> Iterator[tuple[BinaryIO, int]]:
    """The file to send and its size in bytes: the one at `path`, or one made for the occasion."""
    if path is not None:
        with path.open("rb") as given:
            yield given, given.seek(0, os.SEEK_END)
        return
    with tempfile.TemporaryFile(prefix="tlswrite-demo-") as made:
        make_file(made, size)
        yield made, size


def _libraries(other: str) -> dict[str, Sides]:
    root = make_certificate([], is_ca=True, common_name="tlswrite demo root")
    leaf = make_certificate([NAME], issuer=root)
    return {OURS: _tlswrite_sides(leaf), other: _ssl_sides(leaf)}


def _tlswrite_sides(leaf: Issued) -> Sides:
    server_config = tlswrite.ServerConfig(credentials=(leaf.credentials(),), cipher_suites=(SUITE,))
    client_config = tlswrite.ClientConfig(trust_anchors=leaf.anchors(), cipher_suites=(SUITE,))

    async def serve(factory: Factory, sock: socket.socket) -> asyncio.AbstractServer:
        return await tlswrite.create_server(factory, sock=sock, ssl=server_config)

    async def connect(
        factory: Factory, address: tuple[str, int]
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        return await tlswrite.create_connection(factory, *address, ssl=client_config, server_hostname=NAME)

    return Sides(serve, connect)


def _ssl_sides(leaf: Issued) -> Sides:
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile(prefix="tlswrite-demo-") as pem:  # `ssl` reads keys from files only
        pem.write(leaf.chain_pem + leaf.key_pem)
        pem.flush()
        server_context.load_cert_chain(pem.name)
    client_context = ssl.create_default_context(cadata=leaf.root_pem.decode())
    for context in (server_context, client_context):
        context.minimum_version = ssl.TLSVersion.TLSv1_3

    async def serve(factory: Factory, sock: socket.socket) -> asyncio.AbstractServer:
        return await asyncio.get_running_loop().create_server(factory, sock=sock, ssl=server_context)

    async def connect(
        factory: Factory, address: tuple[str, int]
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        return await asyncio.get_running_loop().create_connection(
            factory, *address, ssl=client_context, server_hostname=NAME
        )

    return Sides(serve, connect)
