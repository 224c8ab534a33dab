"""Servers that are programs: started on 127.0.0.1, with certificates of the tests, and ended by their id.

Each is a context manager that gives a `Service`. A test of a program that is not on the machine is skipped, with
the name of the Debian package that has it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.interop.process import Child
from tests.support import engine, pki
from tests.support.ports import free_port

#: Where Debian has programs that are on nobody's PATH, the newest version first.
_ELSEWHERE: Final = (
    "/usr/sbin",
    *(str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"))[::-1]),
)

USER: Final = "tester"
PASSWORD: Final = "a password of tests"


@dataclass(frozen=True)
class Service:
    """A server that takes connections: `port` with TLS, other ports by name; files of it in `directory`."""

    port: int
    directory: Path
    child: Child
    ports: dict[str, int]


def program(name: str, package: str) -> str:
    """The path of a program; the test is skipped where it is not there."""
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(_ELSEWHERE))
    if found is None:
        pytest.skip(f"{name} is not on this machine (Debian: {package})")
    return found


def version_of(arguments: Sequence[str]) -> str:
    """What a program says of its version: the first line."""
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    return (done.stdout or done.stderr).splitlines()[0]


# ---- PostgreSQL -------------------------------------------------------------------------------------


@contextlib.contextmanager
def postgresql() -> Iterator[Service]:
    """A cluster with a superuser, `USER`, by SCRAM-SHA-256 and over TLS alone."""
    initdb, postgres = program("initdb", "postgresql"), program("postgres", "postgresql")
    # Its directory is its own user's, and that user cannot enter those of the tests.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        directory = Path(name)
        files = pki.write(directory, engine.issued())
        files.keyfile.chmod(0o600)
        secret = directory / "password"
        secret.write_text(PASSWORD)
        prefix = _as_other_user(directory)
        data = directory / "data"
        arguments = [initdb, "-D", data, "-U", USER, "--pwfile", secret, "--auth=scram-sha-256"]
        arguments += ["--encoding=UTF8", "--locale=C", "--no-sync"]
        made = subprocess.run([*prefix, *arguments], cwd=directory, capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        (data / "pg_hba.conf").write_text(
            "hostssl   all all 127.0.0.1/32 scram-sha-256\nhostnossl all all all reject\n"
        )
        port = free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "ssl": "on",
            "ssl_cert_file": files.certfile,
            "ssl_key_file": files.keyfile,
            "fsync": "off",
            "shared_buffers": "16MB",
            "max_connections": "30",
        }
        arguments = [postgres, "-D", data]
        for key, value in settings.items():
            arguments += ["-c", f"{key}={value}"]
        with Child([*prefix, *arguments], cwd=directory) as child:
            child.wait_for(b"ready to accept connections")
            yield Service(port, directory, child, {})
            child.process.send_signal(signal.SIGINT)  # does not wait for clients
            assert child.exit_status() == 0


def _as_other_user(directory: Path) -> list[str]:
    """What to put before a program that does not run as root; the directory, and what is in it, is given away."""
    if os.geteuid() != 0:
        return []
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        user = pwd.getpwnam("nobody")
    for path in (directory, *directory.iterdir()):
        os.chown(path, user.pw_uid, user.pw_gid)
    setpriv = program("setpriv", "util-linux")
    return [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]


# ---- Redis ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def redis(directory: Path, versions: str = "TLSv1.2 TLSv1.3") -> Iterator[Service]:
    """Redis over TLS alone, with a password, for clients with a certificate."""
    server = program("redis-server", "redis-server")
    files = pki.write(directory, engine.issued())
    port = free_port()
    arguments = [server, "--port", 0, "--tls-port", port, "--bind", "127.0.0.1", "--requirepass", PASSWORD]
    arguments += ["--tls-cert-file", files.certfile, "--tls-key-file", files.keyfile]
    arguments += ["--tls-ca-cert-file", files.cafile, "--tls-auth-clients", "yes"]
    arguments += ["--tls-protocols", versions]
    arguments += ["--save", "", "--appendonly", "no", "--dir", directory]
    with Child([str(argument) for argument in arguments], cwd=directory) as child:
        child.wait_for(b"Ready to accept connections")
        yield Service(port, directory, child, {})
        child.process.terminate()
        assert child.exit_status() == 0


# ---- nginx ------------------------------------------------------------------------------------------

_NGINX: Final = """
daemon off;
{user}
worker_processes 1;
pid {directory}/pid;
error_log stderr notice;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    default_type application/octet-stream;
    sendfile on;
    ssl_certificate {files.certfile};
    ssl_certificate_key {files.keyfile};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:sessions:1m;
{servers}
}}
"""


@contextlib.contextmanager
def nginx(directory: Path, servers: str, ports: Sequence[str]) -> Iterator[Service]:
    """nginx with the `server` blocks given, in which `{directory}`, `{files}` and each of `ports` is filled in.

    The first of `ports` is the service's.
    """
    arguments = [program("nginx", "nginx"), "-e", "stderr", "-p", directory, "-c", directory / "nginx.conf"]
    files = pki.write(directory, engine.issued())
    numbers = {name: free_port() for name in ports}
    filled = servers.format(directory=directory, files=files, **numbers)
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
    (directory / "nginx.conf").write_text(
        _NGINX.format(directory=directory, files=files, servers=filled, user=user)
    )
    with Child([str(argument) for argument in arguments], cwd=directory) as child:
        child.wait_for(rb"start worker process \d+")
        yield Service(numbers[ports[0]], directory, child, numbers)
        child.process.send_signal(signal.SIGTERM)  # does not wait for clients
        assert child.exit_status() == 0
