"""How cost grows: with the size of a message, the number of records, of connections, and the length of a chain.

Each law has a cost at sizes that double. Between two sizes it grows by an exponent: 1 is linear, 2 quadratic. A
fixed part of the cost pulls it below 1 at small sizes, so the figure is the largest exponent over the upper half of
the sizes, each over two doublings, where it would show. Anything above `WORST` is worse than linear.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tlswrite import ClientConfig, ServerConfig, TLSConnection
from tlswrite.crypto.selfsigned import Issued, make_certificate
from tlswrite.errors import WantReadError, WantWriteError

__all__ = ["LAWS", "WORST", "Growth", "Law", "measure_growth", "table"]

#: What noise may make of 1.
WORST = 1.2

Work = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Law:
    """`prepare(n)` makes what runs the work of size n once, `end` parts with it."""

    name: str
    sizes: tuple[int, ...]
    prepare: Callable[[int], Work]
    end: Callable[[Work], None] = lambda work: None


@dataclass(frozen=True, slots=True)
class Growth:
    """Seconds of CPU time by size."""

    name: str
    costs: dict[int, float]

    @property
    def exponent(self) -> float:
        """The largest growth over two doublings in the upper half."""
        sizes = sorted(self.costs)
        pairs = list(zip(sizes, sizes[2:], strict=False))
        upper = pairs[len(pairs) // 2 :]
        return max(
            math.log(self.costs[large] / self.costs[small]) / math.log(large / small)
            for small, large in upper
        )

    @property
    def linear(self) -> bool:
        return self.exponent <= WORST


def measure_growth(
    laws: Sequence[Law],
    *,
    repetitions: int = 7,
    clock: Callable[[], float] = time.process_time,
    tick: Callable[[], None] = lambda: None,
) -> list[Growth]:
    """The least of some costs at each size; sizes take turns, so that a slow moment falls on all of them."""
    found = []
    for law in laws:
        works = {size: law.prepare(size) for size in law.sizes}
        costs = dict.fromkeys(law.sizes, math.inf)
        for _ in range(repetitions):
            for size, work in works.items():
                begin = clock()
                work()
                costs[size] = min(costs[size], clock() - begin)
            tick()
        for work in works.values():
            law.end(work)
        found.append(Growth(law.name, costs))
    return found


def table(found: Sequence[Growth]) -> str:
    """Markdown: the cost at each size and the exponent."""
    lines = [
        "### Growth of tlswrite's cost, CPU time",
        "",
        "| with | smallest … largest | exponent | |",
        "|---|---|---:|---|",
    ]
    for growth in found:
        first, last = min(growth.costs), max(growth.costs)
        verdict = "at most linear" if growth.linear else "WORSE THAN LINEAR"
        lines.append(
            f"| {growth.name} | {first}: {1e6 * growth.costs[first]:.0f} µs … "
            f"{last}: {1e6 * growth.costs[last]:.0f} µs | {growth.exponent:.2f} | {verdict} |"
        )
    return "\n".join(lines)


# ---- the laws -----------------------------------------------------------------------------------------


def _connected(chain_length: int = 1, records: int | None = None) -> tuple[TLSConnection, TLSConnection]:
    root = make_certificate([], is_ca=True, common_name="growth root")
    return _shake_hands(*_ends(root, _chain(root, chain_length), records))


def _chain(root: Issued, length: int) -> Issued:
    """A leaf, `length` - 1 authorities away from the root."""
    issuer = root
    for number in range(length - 1):
        issuer = make_certificate([], is_ca=True, common_name=f"growth {number}", issuer=issuer)
    return make_certificate(["localhost"], key_type="ecdsa_secp256r1", issuer=issuer)


def _ends(
    root: Issued, leaf: Issued, record_size_limit: int | None = None
) -> tuple[TLSConnection, TLSConnection]:
    client = ClientConfig(
        trust_anchors=root.anchors(),
        record_size_limit=record_size_limit,
        session_cache=None,
    )
    server = ServerConfig(credentials=(leaf.credentials(),), tickets=0, session_cache=None)
    return TLSConnection(client, server_hostname="localhost"), TLSConnection(server)


def _shake_hands(client: TLSConnection, server: TLSConnection) -> tuple[TLSConnection, TLSConnection]:
    while not (client.handshake_complete and server.handshake_complete):
        for end, other in ((client, server), (server, client)):
            try:
                end.do_handshake()
            except WantReadError:
                pass
            other.bio_write(end.bio_read())
    return client, server


def _send(client: TLSConnection, server: TLSConnection, data: bytes) -> None:
    """All of `data`, from one end to the other."""
    missing = len(data)
    while True:
        try:
            done = bool(client.write(data))
        except WantWriteError:
            done = False
        server.bio_write(client.bio_read())
        while missing:
            try:
                missing -= len(server.read(1 << 20))
            except WantReadError:
                break
        if done:
            return


def _message(size: int) -> Work:
    client, server = _connected()
    data = bytes(size)
    return lambda: _send(client, server, data)


def _records(count: int) -> Work:
    # The server's records are limited by the client: so it is the server that sends.
    client, server = _connected(records=512)
    data = bytes(511 * count)
    return lambda: _send(server, client, data)


def _connections(count: int) -> Work:
    ends = [_connected() for _ in range(count)]

    def work() -> None:
        for client, server in ends:
            _send(client, server, b"x" * 1000)

    return work


def _chain_length(length: int) -> Work:
    root = make_certificate([], is_ca=True, common_name="growth root")
    leaf = _chain(root, length)
    # New anchors each time: those of a client that is kept remember the chain.
    return lambda: (_shake_hands(*_ends(root, leaf)), None)[1]


LAWS = (
    Law("bytes of a message", tuple(1 << bits for bits in range(14, 23)), _message),
    Law("records of a message", tuple(1 << bits for bits in range(4, 12)), _records),
    Law("connections", (4, 8, 16, 32, 64, 128, 256), _connections),
    Law("certificates of a chain", (1, 2, 4, 8), _chain_length),
)
