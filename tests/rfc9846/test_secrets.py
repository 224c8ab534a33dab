"""§6, §7.2, §C: secrets are forgotten when they are of no more use, and show up nowhere."""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from tests.support.edits import setting
from tests.support.engine import client, client_config, connected, credentials, server, server_config
from tests.support.hostile import Hostile, HostileClient, HostileServer
from tests.support.pump import Pair
from tlswrite.connection import TLSConnection
from tlswrite.errors import AlertReceived, InternalError, PeerError, TLSError
from tlswrite.iana import ContentType, HandshakeType
from tlswrite.messages.finish import Finished
from tlswrite.tls13.schedule import next_application_secret, traffic_keys

_NO_STATE = (type, types.ModuleType, types.FunctionType, types.CodeType)


def reachable(root: object) -> Iterator[object]:
    """Everything a connection leads to, but for its configuration, code, and what all connections share."""
    seen: set[int] = set()
    shared = {id(sys.modules), id(__builtins__)}
    rest = [root]
    while rest:
        item = rest.pop()
        if id(item) in seen or id(item) in shared or isinstance(item, _NO_STATE):
            continue
        seen.add(id(item))
        if isinstance(root, TLSConnection) and item is root.config:
            continue
        yield item
        rest += gc.get_referents(item)


def held(connection: TLSConnection) -> tuple[set[bytes], list[object]]:
    """The bytes that a connection holds, and its ciphers (which hold keys)."""
    objects = list(reachable(connection))
    strings = {bytes(item) for item in objects if isinstance(item, bytes | bytearray)}
    # A bound method of a cipher leads to it.
    return strings, [item for item in objects if isinstance(item, AESGCM | ChaCha20Poly1305)]


def secrets(lines: list[str]) -> dict[str, bytes]:
    """Of a key log."""
    return {line.split()[0]: bytes.fromhex(line.split()[2]) for line in lines}


def logged() -> tuple[Pair, dict[str, bytes]]:
    lines: list[str] = []
    pair = connected({"keylog": lines.append})
    found = secrets(lines)
    assert len(found) == 5
    return pair, found


# ---- forgotten -------------------------------------------------------------------------------------------


def test_what_a_connection_holds_once_its_handshake_is_over() -> None:
    pair, found = logged()
    for connection in (pair.client.connection, pair.server.connection):
        strings, ciphers = held(connection)
        # The walk sees what there is.
        assert {found["CLIENT_TRAFFIC_SECRET_0"], found["SERVER_TRAFFIC_SECRET_0"]} <= strings
        assert found["EXPORTER_SECRET"] in strings
        assert len(ciphers) == 2
        # The handshake's own secrets are gone, with their keys.
        for name in ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET"):
            assert found[name] not in strings


def test_an_update_forgets_what_was_before_it() -> None:
    # RFC 9846 §7.2: implementations SHOULD delete the secret and its keys.
    pair, found = logged()
    pair.client.connection.key_update(request_peer=True)
    pair.pump()
    pair.server.connection.write(b"data")
    pair.pump()
    assert pair.client.received == b"data"
    for connection in (pair.client.connection, pair.server.connection):
        suite = connection.negotiated.suite
        strings, ciphers = held(connection)
        assert len(ciphers) == 2
        for name in ("CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"):
            assert found[name] not in strings
            assert next_application_secret(suite, found[name]) in strings


def in_the_handshake() -> tuple[Hostile, list[str]]:
    lines: list[str] = []
    hostile = HostileServer(client(keylog=lines.append), {"finished": lambda _: Finished(bytes(32)).encode()})
    hostile.run()
    return hostile, lines


def in_the_servers_handshake() -> tuple[Hostile, list[str]]:
    lines: list[str] = []
    hostile = HostileClient(server(keylog=lines.append), {"finished": lambda _: Finished(bytes(32)).encode()})
    hostile.run()
    return hostile, lines


def when_connected() -> tuple[Hostile, list[str]]:
    lines: list[str] = []
    hostile = HostileServer(client(keylog=lines.append))
    hostile.run()
    hostile.victim.write(b"data")
    hostile.raw(b"\x17\3\3\0\x20" + bytes(32))
    hostile.flush()
    return hostile, lines


def by_an_alert() -> tuple[Hostile, list[str]]:
    lines: list[str] = []
    hostile = HostileServer(client(keylog=lines.append, post_handshake_auth=True))
    hostile.run()
    hostile.record(ContentType.ALERT, b"\2\x28")
    hostile.flush()
    return hostile, lines


def by_an_end() -> tuple[Hostile, list[str]]:
    lines: list[str] = []
    hostile = HostileClient(server(keylog=lines.append))
    hostile.run()
    hostile.end.put_eof()
    return hostile, lines


ENDS = [in_the_handshake, in_the_servers_handshake, when_connected, by_an_alert, by_an_end]
Fail = Callable[[], tuple[Hostile, list[str]]]


@pytest.mark.parametrize("fail", ENDS)
def test_a_failed_connection_forgets_its_keys(fail: Fail) -> None:
    # RFC 9846 §6: MUST forget the secret values and keys established in failed connections.
    hostile, lines = fail()
    assert hostile.end.error is not None
    found = secrets(lines)
    strings, ciphers = held(hostile.victim)
    assert not ciphers
    assert not set(found.values()) & strings
    suite = hostile.suite
    for secret in found.values():
        assert not set(traffic_keys(suite, secret)) & strings


# ---- shown -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fail", [in_the_handshake, in_the_servers_handshake, when_connected, by_an_alert])
def test_the_traceback_of_a_peers_fault_leads_to_no_secret(fail: Fail) -> None:
    # An application may keep the exception, and a service may collect the variables of its frames.
    hostile, lines = fail()
    error = hostile.end.error
    assert isinstance(error, PeerError | AlertReceived)
    found = set(secrets(lines).values())
    for each in chain(error):
        frame = each.__traceback__
        while frame is not None:
            name = frame.tb_frame.f_globals["__name__"]
            # The frame of a compiled function has no variables.
            assert not frame.tb_frame.f_locals or not name.startswith(
                ("tlswrite.tls13", "tlswrite.handshake", "tlswrite.record", "tlswrite.crypto")
            )
            strings = {value for value in frame.tb_frame.f_locals.values() if isinstance(value, bytes)}
            assert not found & strings
            frame = frame.tb_next


def chain(error: BaseException) -> Iterator[BaseException]:
    """An exception with those behind it."""
    next_one: BaseException | None = error
    while next_one is not None:
        yield next_one
        next_one = next_one.__cause__ or next_one.__context__


def test_the_traceback_of_a_callback_is_kept() -> None:
    # It is the application's own, which must mend it.
    def choose(name: str | None) -> None:
        raise LookupError("a bug")

    hostile = HostileClient(server(sni_callback=choose))
    hostile.run()
    error = hostile.end.error
    assert type(error) is InternalError
    cause = error.__cause__
    assert type(cause) is LookupError and cause.__traceback__ is not None
    assert hostile.alerts[0].content == b"\2\x50"


def test_a_configuration_that_fails_in_the_handshake_is_told_to_the_peer() -> None:
    def choose(name: str | None) -> Any:
        return server_config(alpn_protocols=("h2", "h2"))

    hostile = HostileClient(server(sni_callback=choose))
    hostile.run()
    error = hostile.end.error
    assert type(error) is InternalError and "names something twice" in error.message
    assert hostile.alerts[0].content == b"\2\x50"


def test_no_repr_has_a_secret() -> None:
    pair, found = logged()
    for connection in (pair.client.connection, pair.server.connection):
        for item in reachable(connection):
            if isinstance(item, bytes | bytearray | memoryview | tuple | list | dict):
                continue  # What holds them is looked at.
            shown = repr(item) + (str(item) if isinstance(item, BaseException) else "")
            for secret in found.values():
                assert secret.hex() not in shown
                assert repr(secret)[2:-1] not in shown


def test_no_repr_of_a_configuration_has_a_key() -> None:
    pem = credentials(client=True)
    for config in (server_config(), client_config(credentials=pem)):
        shown = repr(config)
        assert "PRIVATE" not in shown and "private_value" not in shown
        assert "<Credentials for" in shown


def test_no_message_of_a_failure_has_a_secret() -> None:
    for fail in ENDS:
        hostile, lines = fail()
        error: TLSError | None = hostile.end.error
        assert error is not None
        for secret in secrets(lines).values():
            for shown in (str(error), repr(error), repr(error.args), repr(hostile.victim), repr(vars(error))):
                assert secret.hex() not in shown and repr(secret)[2:-1] not in shown


# ---- never twice -----------------------------------------------------------------------------------------


def test_randoms_and_secrets_are_new_each_time() -> None:
    lines: list[str] = []
    hellos: list[bytes] = []
    for _ in range(5):
        pair = connected({"keylog": lines.append})
        hostile = HostileClient(server())
        hostile.run()
        hellos.append(hostile.heard(HandshakeType.SERVER_HELLO)[0].random)
        assert pair.client.error is None
    # RFC 9846 §4.2.3: generated independently of the ClientHello.random.
    assert len(set(hellos)) == 5
    assert len({line.split()[2] for line in lines}) == len(lines) == 25


def test_a_client_repeats_no_random_where_it_retries_for_another() -> None:
    one = HostileServer(client(), {"server_hello": setting(random=bytes(32))})
    other = HostileServer(client(), {"server_hello": setting(random=bytes(32))})
    one.run()
    other.run()
    assert one.hello.random != other.hello.random
    assert one.schedule.client_application != other.schedule.client_application
