"""Clients on blocking sockets: http.client, urllib.request, urllib3, requests, smtplib."""

from __future__ import annotations

import hashlib
import http.client
import io
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import requests.adapters
import urllib3

import tlswrite
from tests.live import roads
from tests.live.proxy import connect_proxy
from tests.live.roads import CHUNK, SIZES, data_of, digest_of
from tests.live.web import application, in_thread, serving


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Of a server on a fast loop, in a thread."""
    context = roads.server_context(tmp_path)
    with in_thread(lambda: serving(application(), context), tlswrite.new_event_loop) as port:
        yield port


def digest_from(read: Any) -> str:
    digest = hashlib.sha256()
    while piece := read(CHUNK):
        digest.update(piece)
    return digest.hexdigest()


@pytest.mark.parametrize("size", SIZES)
def test_http_client(size: int, port: int, client_context: tlswrite.SSLContext) -> None:
    connection = http.client.HTTPSConnection("localhost", port, context=client_context)
    connection.request("POST", "/up", body=data_of(size))
    assert connection.getresponse().read().decode() == digest_of(size)
    assert isinstance(connection.sock, tlswrite.TLSSocket)
    connection.request("GET", f"/down/{size}")
    assert digest_from(connection.getresponse().read) == digest_of(size)
    connection.close()


@pytest.mark.parametrize("size", SIZES)
def test_urllib_request(size: int, port: int, client_context: tlswrite.SSLContext) -> None:
    with urllib.request.urlopen(f"https://localhost:{port}/down/{size}", context=client_context) as response:
        assert digest_from(response.read) == digest_of(size)


@pytest.mark.parametrize("size", SIZES)
def test_urllib3(size: int, port: int, client_context: tlswrite.SSLContext) -> None:
    with urllib3.PoolManager(ssl_context=client_context) as pool:
        url = f"https://localhost:{port}"
        up = pool.request("POST", f"{url}/up", body=io.BytesIO(data_of(size)))
        assert up.data.decode() == digest_of(size)
        down = pool.request("GET", f"{url}/down/{size}", preload_content=False)
        assert digest_from(down.read) == digest_of(size)
        down.release_conn()


def test_urllib3_through_a_proxy_that_is_reached_by_tls(
    port: int, tmp_path: Path, client_context: tlswrite.SSLContext
) -> None:
    """TLS in TLS on blocking sockets: the inner one runs over `wrap_bio`."""
    context = roads.server_context(tmp_path)
    size = 1 << 20
    with in_thread(lambda: connect_proxy(context), tlswrite.new_event_loop) as (proxy, targets):
        with urllib3.ProxyManager(
            f"https://localhost:{proxy}", ssl_context=client_context, proxy_ssl_context=client_context
        ) as pool:
            response = pool.request(
                "GET", f"https://localhost:{port}/down/{size}", headers={"Connection": "close"}
            )
            assert response.data == data_of(size)
        assert targets == [f"localhost:{port}"]


def test_urllib3_tells_a_stranger_apart(port: int) -> None:
    strangers = tlswrite.create_default_context()
    with (
        urllib3.PoolManager(ssl_context=strangers, retries=False) as pool,
        pytest.raises(urllib3.exceptions.SSLError, match="trust anchors"),
    ):
        pool.request("GET", f"https://localhost:{port}/down/1")


class _Adapter(requests.adapters.HTTPAdapter):
    """How requests is given a context."""

    def __init__(self, context: Any) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)


@pytest.mark.parametrize("size", SIZES)
def test_requests(size: int, port: int, client_context: tlswrite.SSLContext) -> None:
    url = f"https://localhost:{port}"
    with requests.Session() as session:
        session.trust_env = False
        session.mount("https://", _Adapter(client_context))
        # requests loads certifi's bundle into the context; the tests' authority is in it already.
        assert session.post(f"{url}/up", data=data_of(size)).text == digest_of(size)
        with session.get(f"{url}/down/{size}", stream=True) as response:
            assert digest_from(response.raw.read) == digest_of(size)
