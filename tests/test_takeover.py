"""install(): in processes of their own, since it changes the whole process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.support import engine, pki

ROOT = Path(__file__).resolve().parents[1]


def run(script: str, directory: Path, *options: str) -> str:
    """What a script prints; it finds files of a server and an authority, and `tlswrite` installed."""
    files = pki.write(directory, engine.issued())
    source = f"""
import tlswrite
tlswrite.install()
import asyncio, ssl, warnings
CERT, KEY, CA = {str(files.certfile)!r}, {str(files.keyfile)!r}, {str(files.cafile)!r}
""" + textwrap.dedent(script)
    result = subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", source],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


ECHO = """
server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
server_context.load_cert_chain(CERT, KEY)
client_context = ssl.create_default_context(cafile=CA)

async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()

async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=server_context)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("localhost", port, ssl=client_context)
    writer.write(b"x" * 1_000_000)
    assert await reader.readexactly(1_000_000) == b"x" * 1_000_000
    print(type(writer.transport).__module__)
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()
"""


def test_programs_that_know_nothing_of_it_take_the_fast_transport(tmp_path: Path) -> None:
    for debug in (False, True):
        printed = run(ECHO + f"asyncio.run(main(), debug={debug})", tmp_path)
        assert printed == "tlswrite.asyncio.transport\n"


def test_on_uvloop(tmp_path: Path) -> None:
    assert run(ECHO + "import uvloop; uvloop.run(main())", tmp_path) == "tlswrite.asyncio.transport\n"


def test_what_was_made_before_stays_as_it_was_and_is_still_a_context(tmp_path: Path) -> None:
    script = """
    tlswrite.uninstall()
    before = ssl.create_default_context()
    tlswrite.install()
    tlswrite.install()
    after = ssl.create_default_context()
    print(type(before).__module__, type(after).__module__, type(after).__name__)
    print(isinstance(before, ssl.SSLContext), isinstance(after, ssl.SSLContext), isinstance("", ssl.SSLContext))
    tlswrite.uninstall()
    tlswrite.uninstall()
    print(type(ssl.create_default_context()).__module__, isinstance(after, ssl.SSLContext))
    """
    assert run(script, tmp_path).splitlines() == [
        "ssl tlswrite.stdlib.installed InstalledContext",
        "True True False",
        "ssl True",
    ]


def test_what_cannot_be_taken_over_stays_on_openssl_and_says_why(tmp_path: Path) -> None:
    """Its transport is asyncio's own then, and its connections work."""
    script = (
        ECHO
        + """
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    client_context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    client_context.verify_flags &= ~ssl.VERIFY_CRL_CHECK_LEAF
(warning,) = caught
print(warning.category.__name__, warning.message)
print(warning.filename)
asyncio.run(main())
"""
    )
    assert run(script, tmp_path).splitlines() == [
        "StaysOnOpenSSLWarning an ssl.SSLContext stays on OpenSSL: certificate revocation lists are not looked at "
        "(stapled OCSP responses are)",
        "<string>",
        "asyncio.sslproto",
    ]


def test_with_truststore_above_it(tmp_path: Path) -> None:
    """truststore makes contexts of whatever class it finds; on Linux it trusts what `ssl` does."""
    script = ECHO.replace(
        "ssl.create_default_context(cafile=CA)", "truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)"
    )
    script = "import os; os.environ['SSL_CERT_FILE'] = CA\nimport truststore\n" + script.replace(
        "print(type(writer.transport).__module__)",
        "print(type(client_context._ctx).__module__, writer.get_extra_info('ssl_object').version())",
    )
    assert run(script + "asyncio.run(main())", tmp_path) == "tlswrite.stdlib.installed TLSv1.3\n"
