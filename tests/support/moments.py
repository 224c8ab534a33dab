"""Moments of a connection, brought about by a hostile peer: what to do then is up to the test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.engine import client, server
from tests.support.hostile import APPLICATION, HANDSHAKE, PLAIN, Hostile, HostileClient, HostileServer


def at_start() -> Hostile:
    return HostileClient(server())


def at_wait_sh() -> Hostile:
    return HostileServer(client())


def at_wait_ee() -> Hostile:
    hostile = HostileServer(client())
    hostile.run("server_hello")
    return hostile


def at_wait_finished() -> Hostile:
    hostile = HostileClient(server())
    hostile.run("client_hello")
    return hostile


def at_connected_client() -> Hostile:
    hostile = HostileServer(client())
    hostile.run()
    return hostile


def at_connected_server() -> Hostile:
    hostile = HostileClient(server())
    hostile.run()
    return hostile


#: Moments, and the key of the victim's alerts then.
UNPROTECTED = [(at_start, PLAIN), (at_wait_sh, PLAIN)]
PROTECTED = [
    (at_wait_ee, HANDSHAKE),
    (at_wait_finished, APPLICATION),
    (at_connected_client, APPLICATION),
    (at_connected_server, APPLICATION),
]
CONNECTED = PROTECTED[2:]
Moment = Callable[[], Hostile]


def moments(chosen: list[tuple[Moment, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("make", "under"), chosen, ids=[make.__name__ for make, _ in chosen])
