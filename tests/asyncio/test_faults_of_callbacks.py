"""Callbacks of a context that crashed the process (seen with aiofastnet 1.2.0): each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import engine, pki

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import asyncio, functools, ssl, sys
import aiofastnet, tlswrite

name, setting, cert, key, ca, log = sys.argv[1:]
make = tlswrite.SSLContext if name == "tlswrite" else ssl.SSLContext
server, client = make(ssl.PROTOCOL_TLS_SERVER), make(ssl.PROTOCOL_TLS_CLIENT)
server.load_cert_chain(cert, key)
client.load_verify_locations(ca)
names = []
if setting == "sni_callback":
    server.sni_callback = lambda object, name, context: names.append((object.server_side, name, context is server))
elif setting == "keylog_filename":
    client.keylog_filename = log
else:
    assert setting == "nothing"

async def main():
    loop = asyncio.get_running_loop()
    if name == "tlswrite":
        serve, connect = tlswrite.create_server, tlswrite.create_connection
    else:
        serve = functools.partial(aiofastnet.create_server, loop)
        connect = functools.partial(aiofastnet.create_connection, loop)
    listener = await serve(asyncio.Protocol, "127.0.0.1", 0, ssl=server)
    port = listener.sockets[0].getsockname()[1]
    transport, _ = await connect(asyncio.Protocol, "127.0.0.1", port, ssl=client, server_hostname="localhost")
    transport.close()
    listener.close()
    await asyncio.sleep(0)

asyncio.run(main())
if setting == "sni_callback":
    assert names == [(True, "localhost", True)], names
if setting == "keylog_filename":
    assert "CLIENT_TRAFFIC_SECRET_0" in open(log).read()
print("alive")
"""


def run(name: str, setting: str, directory: Path) -> subprocess.CompletedProcess[str]:
    files = pki.write(directory, engine.issued())
    arguments = [name, setting, files.certfile, files.keyfile, files.cafile, directory / "log"]
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("setting", ["nothing", "sni_callback", "keylog_filename"])
def test_it_does_not_show_here(setting: str, tmp_path: Path) -> None:
    result = run("tlswrite", setting, tmp_path)
    assert (result.returncode, result.stdout) == (0, "alive\n"), result.stderr


@pytest.mark.parametrize("setting", ["sni_callback", "keylog_filename"])
def test_it_shows_elsewhere(setting: str, tmp_path: Path) -> None:
    assert run("aiofastnet", "nothing", tmp_path).stdout == "alive\n"
    assert run("aiofastnet", setting, tmp_path).returncode < 0
