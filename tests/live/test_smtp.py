"""Mail: aiosmtplib and smtplib to aiosmtpd, with STARTTLS and with TLS from the start."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest
from aiosmtpd.smtp import SMTP

import tlswrite
from tests.live import roads
from tests.live.roads import check_road, data_of
from tests.live.web import in_thread

LIMIT = 64 << 20


class Handler:
    """Keeps what it gets."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        self.messages.append(envelope.content)
        if server.tls_context is None:
            # aiosmtpd does STARTTLS with asyncio's protocol of its own accord, whatever the loop.
            check_road(server.transport)
        assert isinstance(server.transport.get_extra_info("sslcontext"), tlswrite.SSLContext)
        return "250 OK"


@asynccontextmanager
async def mail_server(
    handler: Handler, *, starttls: ssl.SSLContext | None = None, implicit: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    factory = partial(
        SMTP,
        handler,
        data_size_limit=LIMIT,
        tls_context=starttls,
        require_starttls=starttls is not None,
        hostname="localhost",
    )
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0, ssl=implicit)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def message(size: int) -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "a@localhost", "b@localhost", "data"
    made.set_content("see attachment")
    made.add_attachment(data_of(size), maintype="application", subtype="octet-stream", filename="data")
    return made


def attachment(raw: bytes) -> bytes:
    import email
    import email.policy

    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    (part,) = parsed.iter_attachments()
    return part.get_payload(decode=True)


SIZES = (
    pytest.param(1 << 20, id="1MiB"),
    pytest.param(32 << 20, id="32MiB", marks=pytest.mark.long),
)


@pytest.mark.parametrize("starttls", [True, False])
@pytest.mark.parametrize("size", SIZES)
async def test_aiosmtplib(
    size: int,
    starttls: bool,
    server_context: tlswrite.SSLContext,
    client_context: tlswrite.SSLContext,
) -> None:
    handler = Handler()
    contexts = {"starttls" if starttls else "implicit": server_context}
    async with mail_server(handler, **contexts) as port:
        client = aiosmtplib.SMTP(
            hostname="localhost",
            port=port,
            start_tls=starttls,
            use_tls=not starttls,
            tls_context=client_context,
            timeout=60,
        )
        async with client:
            check_road(client.transport)
            await client.send_message(message(size))
    assert attachment(handler.messages[0]) == data_of(size)


async def test_mail_without_tls_is_refused_where_it_is_required(
    server_context: tlswrite.SSLContext,
) -> None:
    async with mail_server(Handler(), starttls=server_context) as port:
        client = aiosmtplib.SMTP(hostname="localhost", port=port, start_tls=False)
        async with client:
            with pytest.raises(aiosmtplib.SMTPException, match="STARTTLS"):
                await client.send_message(message(10))


@pytest.mark.parametrize("starttls", [True, False])
def test_smtplib(starttls: bool, tmp_path: Path, client_context: tlswrite.SSLContext) -> None:
    """The blocking client of the standard library."""
    handler = Handler()
    contexts = {"starttls" if starttls else "implicit": roads.server_context(tmp_path)}
    with in_thread(lambda: mail_server(handler, **contexts), tlswrite.new_event_loop) as port:
        client: smtplib.SMTP
        if starttls:
            client = smtplib.SMTP("localhost", port)
            client.starttls(context=client_context)
        else:
            client = smtplib.SMTP_SSL("localhost", port, context=client_context)
        with client:
            assert isinstance(client.sock, tlswrite.TLSSocket)
            client.send_message(message(1 << 20))
    assert attachment(handler.messages[0]) == data_of(1 << 20)
