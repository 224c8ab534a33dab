"""What `ssl=` and its companions mean."""

from __future__ import annotations

import math
import socket
import ssl
from typing import Any

import pytest

from tests.support import engine
from tlswrite.asyncio.settings import (
    check_stream_socket,
    check_timeouts,
    client_connection,
    default_client_config,
    refuse_without_ssl,
    server_connections,
    takes,
)
from tlswrite.config import ClientConfig
from tlswrite.connection import ConnectionFactory, TLSConnection
from tlswrite.errors import ConfigurationError

CLIENT = engine.client_config()
SERVER = engine.server_config()


class Factory(ConnectionFactory):
    """Makes connections, or says why it does not."""

    def __init__(self, refusal: str | None = None) -> None:
        self.why = refusal
        self.made: list[tuple[bool, str | None]] = []

    def new_connection(self, *, server_side: bool, server_hostname: str | None = None) -> TLSConnection:
        self.made.append((server_side, server_hostname))
        if server_side:
            return TLSConnection(SERVER)
        return TLSConnection(CLIENT, server_hostname=server_hostname)

    @property
    def refusal(self) -> str | None:
        return self.why


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        (True, True),
        (CLIENT, True),
        (SERVER, True),
        (Factory(), True),
        (Factory("it has a pre-shared key"), False),
        (ssl.create_default_context(), False),
        (None, False),
        (False, False),
        ("tls", False),
    ],
)
def test_what_is_taken(given: Any, ours: bool) -> None:
    assert takes(given) is ours


def test_true_means_the_systems_anchors() -> None:
    config = default_client_config()
    assert isinstance(config, ClientConfig)
    assert config.check_hostname
    assert client_connection(True, "localhost").config is config


def test_a_factory_makes_the_connections() -> None:
    factory = Factory()
    assert client_connection(factory, "localhost").server_hostname == "localhost"
    make = server_connections(factory)
    assert make() is not make()
    # One more for the server: to find what cannot work before anybody connects.
    assert factory.made == [(False, "localhost"), *[(True, None)] * 3]


def test_a_factory_that_refuses_is_not_asked() -> None:
    factory = Factory("it has a pre-shared key")
    for call in (lambda: client_connection(factory, "localhost"), lambda: server_connections(factory)):
        with pytest.raises(TypeError, match="must make connections: it has a pre-shared key"):
            call()
    assert factory.made == []


def test_an_empty_name_is_none() -> None:
    with pytest.raises(ConfigurationError, match="server_hostname is missing"):
        client_connection(CLIENT, "")


def test_timeouts_are_asyncios() -> None:
    assert check_timeouts(None, None) == (60.0, 30.0)
    assert check_timeouts(1.5, 2.5) == (1.5, 2.5)
    for name, values in (("handshake", (0, None)), ("shutdown", (None, -1))):
        with pytest.raises(ValueError, match=f"ssl_{name}_timeout should be a positive number"):
            check_timeouts(*values)
    with pytest.raises(ValueError, match="got nan"):
        check_timeouts(math.nan, None)
    text: Any = "5"
    with pytest.raises(TypeError, match="ssl_shutdown_timeout should be a positive number, not str"):
        check_timeouts(None, text)


def test_what_means_nothing_without_tls() -> None:
    refuse_without_ssl(None, None, None)
    for given in (("x", None, None), (None, 1, None), (None, None, 1)):
        with pytest.raises(ValueError, match="is only meaningful with ssl"):
            refuse_without_ssl(*given)


def test_a_socket_must_be_a_stream_without_tls() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(ValueError, match="A Stream Socket"):
        check_stream_socket(sock)
