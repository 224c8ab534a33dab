"""The traces of RFC 8448, byte for byte.

`rfc8448.json` holds the document's five traces step by step. First every derivation of every trace is made
again; then both engines are put into each full handshake, with the trace's random values and keys in place
of the system's, and must send what the trace sends: message for message, and as whole connections record for
record. The 1024-bit RSA keys of the traces are too small to be accepted as a peer's, so the signatures made
with them are verified here.

The PSK handshake (section 4) is compared as far as it does not need resumption.
"""

from __future__ import annotations

import ssl
from collections.abc import Generator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.engine import client_config
from tests.support.handshakes import CCS, Recorder, Side, open_record
from tests.support.rfc8448 import (
    FULL,
    SUITE,
    TRACES,
    TraceClient,
    TraceServer,
    message,
    records,
    server_config,
    share,
    steps,
    trace_credentials,
)
from tlswrite.config import ClientConfig
from tlswrite.connection import TLSConnection
from tlswrite.crypto.kdf import hkdf_expand, hkdf_extract, hmac_digest, new_hash
from tlswrite.errors import WantReadError, ZeroReturnError
from tlswrite.handshake.offer import Offer
from tlswrite.iana import ContentType, HandshakeType, NamedGroup
from tlswrite.messages import extensions as ext
from tlswrite.messages.framing import MESSAGES
from tlswrite.messages.hello import ClientHello
from tlswrite.tls13.schedule import traffic_keys
from tlswrite.transcript import Transcript

# ---- every derivation -------------------------------------------------------------------------------


def derivations() -> Generator[Any, None, None]:
    for trace, content in TRACES.items():
        for index, step in enumerate(content["steps"]):
            if any(key in step for key in ("expanded", "secret", "key expanded", "finished")):
                yield pytest.param(step, id=f"{trace}-{index}-{step['who']}-{step['what']}")


@pytest.mark.parametrize("step", list(derivations()))
def test_derivations(step: dict[str, str]) -> None:
    value = {key: bytes.fromhex(text) for key, text in step.items() if key not in ("who", "what")}
    if "secret" in value:
        salt = value.get("salt") or bytes(32)
        assert hkdf_extract("sha256", salt, value["IKM"]) == value["secret"]
    if "expanded" in value:
        length = len(value["expanded"])
        assert hkdf_expand("sha256", value["PRK"], value["info"], length) == value["expanded"]
    if "key expanded" in value:
        assert traffic_keys(SUITE, value["PRK"]) == (value["key expanded"], value["iv expanded"])
        for kind in ("key", "iv"):
            expanded = value[f"{kind} expanded"]
            assert hkdf_expand("sha256", value["PRK"], value[f"{kind} info"], len(expanded)) == expanded


@pytest.mark.parametrize("trace", TRACES)
def test_messages_are_parsed_and_written_unchanged(trace: str) -> None:
    count = 0
    for step in TRACES[trace]["steps"]:
        for name, value in step.items():
            raw = bytes.fromhex(value) if name not in ("who", "what") else b""
            if step["what"].startswith("construct") and raw:
                if name == "ClientHello" and len(raw) < 4 + int.from_bytes(raw[1:4], "big"):
                    continue  # the prefix that a binder is computed over
                parsed = MESSAGES[HandshakeType(raw[0])].parse(raw[4:])
                assert parsed.encode() == raw
                count += 1
    assert count >= 6 - 2 * (trace == "4")


# ---- the handshakes, message for message -------------------------------------------------------------

SERVER_FLIGHT = ("EncryptedExtensions", "CertificateRequest", "Certificate", "CertificateVerify", "Finished")


def trace_client_config(trace: str) -> ClientConfig:
    config = client_config(
        verify_mode=ssl.CERT_NONE,
        check_hostname=False,
        middlebox_compatibility=trace == "7",
    )
    if trace == "6":  # its scheme fits only the trace's key, which nobody has
        object.__setattr__(config, "credentials", trace_credentials(trace, "client"))
    return config


@pytest.mark.parametrize("trace", FULL)
def test_the_client_sends_what_the_trace_sends(trace: str) -> None:
    io = Recorder()
    client = TraceClient(io, trace_client_config(trace), trace)
    side = Side(io, client.follow(trace))
    side.start()
    hellos = message(trace, "ServerHello", "server")
    if trace == "5":
        side.receive(hellos[0])
        hello = ClientHello.parse(io.take()[0][4:])
        # The trace pads its second ClientHello, which this client has no reason to do, and puts the cookie
        # where it likes: what is the same is what is said.
        wanted = ClientHello.parse(message(trace, "ClientHello", "client")[1][4:])
        theirs = {code: data for code, data in wanted.extensions if code != ext.ExtensionType.PADDING}
        assert dict(hello.extensions) == theirs
        replay = Offer(
            wanted, wanted.encode(), "server", client.offer.groups, client.offer.shares, frozenset(theirs)
        )
        client.transcript = fresh_transcript(trace, replay)
        client.offer = replay
    side.receive(hellos[-1])
    side.receive(message(trace, "EncryptedExtensions", "server")[0])
    for name in ("CertificateRequest", "Certificate", "CertificateVerify", "Finished"):
        for raw in message(trace, name, "server"):
            side.receive(raw)
    assert side.error is None
    assert io.result is not None
    assert (CCS in io.log) == (trace == "7")

    sent = io.take()
    assert sent == [
        raw
        for name in ("Certificate", "CertificateVerify", "Finished")
        for raw in message(trace, name, "client")
    ]
    flight, *rest = records(trace, "client")
    assert b"".join(sent) == flight[0]
    assert io.sealers[0].seal(ContentType.HANDSHAKE, flight[0]) == flight[1]
    for payload, record in rest:
        kind = ContentType.ALERT if payload == b"\1\0" else ContentType.APPLICATION_DATA
        assert io.sealers[-1].seal(kind, payload) == record
    check_opened(io, records(trace, "server"))
    # RFC 8448 derives the resumption secret too.
    wanted = steps(trace, 'derive secret "tls13 res master"', "client")[0]
    assert client.schedule.resumption(client.transcript.digest()) == wanted["expanded"]
    exporter = steps(trace, 'derive secret "tls13 exp master"', "server")[0]
    assert client.schedule.exporter == exporter["expanded"]


def fresh_transcript(trace: str, offer: Offer) -> Transcript:
    """The transcript of the HelloRetryRequest trace up to its second ClientHello."""
    transcript = Transcript()
    transcript.add(message(trace, "ClientHello", "client")[0])
    transcript.start("sha256")
    transcript.retry()
    transcript.add(message(trace, "ServerHello", "server")[0])
    transcript.add(offer.message)
    return transcript


def check_opened(io: Recorder, wanted: list[tuple[bytes, bytes]]) -> None:
    """The protected records of the other side open to what they hold: handshake keys, then the rest."""
    for index, (payload, record) in enumerate(wanted):
        assert open_record(io.openers[0 if index == 0 else -1], record)[1] == payload


@pytest.mark.parametrize("trace", FULL)
def test_the_server_sends_what_the_trace_sends(trace: str) -> None:
    io = Recorder()
    hellos = message(trace, "ServerHello", "server")
    side = Side(io, TraceServer(io, server_config(trace), trace).follow())
    side.start()
    for raw, answer in zip(message(trace, "ClientHello", "client"), hellos, strict=True):
        side.receive(raw)
        assert side.error is None
        sent = io.take()
        assert sent[0] == answer
    assert sent[1:] == [raw for name in SERVER_FLIGHT for raw in message(trace, name, "server")]
    assert (CCS in io.log) == (trace == "7")
    flight, *rest = records(trace, "server")
    assert b"".join(sent[1:]) == flight[0]
    # The trace's limit is 16385 bytes; a record_size_limit leaves the record as it is.
    assert io.sealers[0].seal(ContentType.HANDSHAKE, flight[0]) == flight[1]
    for name in ("Certificate", "CertificateVerify", "Finished"):
        for raw in message(trace, name, "client"):
            side.receive(raw)
    assert side.error is None
    assert io.result is not None
    for payload, record in rest:
        kind = {b"\1\0": ContentType.ALERT}.get(payload, ContentType.APPLICATION_DATA)
        if payload[0] == HandshakeType.NEW_SESSION_TICKET and len(payload) > 100:
            kind = ContentType.HANDSHAKE
        assert io.sealers[-1].seal(kind, payload) == record
    check_opened(io, records(trace, "client"))


# ---- the connections, record for record --------------------------------------------------------------


@pytest.mark.parametrize("trace", FULL)
def test_a_server_on_the_wire(trace: str) -> None:
    connection = TLSConnection(server_config(trace))
    control = connection._control
    control.start(TraceServer(control, server_config(trace), trace).follow())
    replay(connection, trace, "server")


@pytest.mark.parametrize("trace", ["3", "6", "7"])  # the second ClientHello of 5 has what ours never has
def test_a_client_on_the_wire(trace: str) -> None:
    config = trace_client_config(trace)
    connection = TLSConnection(config, server_hostname="server")
    control = connection._control
    client = TraceClient(control, config, trace)
    control.start(client.follow(trace))
    control.allow_compatibility_ccs(True)
    replay(connection, trace, "client")


def replay(connection: TLSConnection, trace: str, who: str) -> None:
    """Give the peer's records of a trace to a connection; it must send those of `who`, all and in order."""
    received: list[bytes] = []
    expected: list[bytes] = []
    sent = [step for step in TRACES[trace]["steps"] if "complete record" in step]
    if who == "client":
        del sent[0]  # the ClientHello, which a trace's client begins with
    for step in sent:
        payload, record = bytes.fromhex(step["payload"]), bytes.fromhex(step["complete record"])
        if step["who"] != who:
            connection.bio_write(record)
            received += advance(connection)
            expected += [payload] * ("application_data" in step["what"])
            continue
        if "application_data" in step["what"]:
            connection.write(payload)
        elif "alert" in step["what"]:
            connection.shutdown()
        elif payload[:1] == bytes([HandshakeType.NEW_SESSION_TICKET]):
            connection.send_path.seal_control(ContentType.HANDSHAKE, payload)
        assert connection.bio_read(len(record)) == record
    assert connection.bio_read() == b""
    assert connection.peer_closed
    assert received == expected


def advance(connection: TLSConnection) -> list[bytes]:
    received = []
    try:
        while True:
            received.append(connection.read())
    except (WantReadError, ZeroReturnError):
        return received


# ---- what the traces say of themselves ----------------------------------------------------------------


def test_finished_of_every_trace() -> None:
    count = 0
    for trace in TRACES:
        for step in steps(trace, 'calculate finished "tls13 finished"'):
            assert step["finished"] in {
                raw[4:] for who in ("client", "server") for raw in message(trace, "Finished", who)
            }
            count += 1
    assert count == 10


def test_the_binder_of_the_resumed_trace() -> None:
    # RFC 9846 §4.3.11.2: computed like a Finished, over the ClientHello without its binders.
    step = steps("4", "calculate PSK binder")[0]
    running = new_hash("sha256")
    running.update(step["ClientHello prefix"])
    assert running.digest() == step["binder hash"]
    assert hmac_digest("sha256", step["expanded"], step["binder hash"]) == step["finished"]


def test_the_keys_of_the_traces_are_what_they_say() -> None:
    for trace in FULL:
        for who in ("client", "server"):
            own = share(trace, who)
            if own.group is NamedGroup.x25519:
                key = x25519.X25519PrivateKey.from_private_bytes(own.private)
                assert key.public_key().public_bytes_raw() == own.public
            else:
                point = ec.derive_private_key(int.from_bytes(own.private, "big"), ec.SECP256R1()).public_key()
                assert point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint) == own.public
