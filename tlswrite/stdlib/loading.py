"""Certificates, keys and anchors as `ssl.SSLContext` takes them: by path, in memory, and step by step.

Where `ssl` takes the path of a PEM file, its text will do as well: a `str` or `bytes` with a PEM block in it cannot
be the name of a file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from tlswrite.crypto.credentials import Credentials, Password, load_credentials
from tlswrite.crypto.signatures import PSSPrivateKey
from tlswrite.crypto.trust import TrustAnchors
from tlswrite.errors import ConfigurationError

__all__ = ["Anchors", "Identities", "check_password", "read_credentials"]

_PEM: Final = b"-----BEGIN "


def read_credentials(certfile: Any, keyfile: Any, password: Any) -> Credentials:
    """Credentials for `load_cert_chain`: paths, or PEM text.

    Raises OSError for a file that cannot be read, TypeError, and ConfigurationError (an `ssl.SSLError`).
    """
    certificate = _read(certfile, "certfile")
    key = None if keyfile is None else _read(keyfile, "keyfile")
    return load_credentials(certificate, key, check_password(password))


def check_password(password: Any) -> Password | None:
    """A password as `ssl` takes it; TypeError for anything else, also for what a callable returns."""
    if password is None or isinstance(password, str | bytes):
        return password
    if isinstance(password, bytearray):
        return bytes(password)
    if not callable(password):
        raise TypeError("password should be a string or callable")

    def ask() -> str | bytes:
        answer = password()
        if isinstance(answer, bytearray):
            answer = bytes(answer)
        if not isinstance(answer, str | bytes):
            raise TypeError("password callback must return a string")
        return answer

    return ask


def _read(source: Any, name: str) -> bytes:
    """The content of a file, or of what is PEM text already."""
    if isinstance(source, bytearray | memoryview):
        source = bytes(source)
    if isinstance(source, str | bytes):
        text = source if isinstance(source, bytes) else source.encode("utf-8", "surrogateescape")
        if _PEM in text:
            return text
    try:
        path = os.fspath(source)
    except TypeError:
        raise TypeError(f"{name} should be a valid filesystem path") from None
    return Path(os.fsdecode(path)).read_bytes()


class Identities:
    """The credentials of a context: one for each kind of key, as in OpenSSL, the first loaded first."""

    def __init__(self) -> None:
        self._kinds: dict[str, Credentials] = {}

    def add(self, credentials: Credentials) -> None:
        """Those of the same kind that were there are replaced."""
        key = credentials.private_key
        kind = "RSA-PSS" if isinstance(key, PSSPrivateKey) else type(key).__name__
        self._kinds[kind] = credentials

    @property
    def all(self) -> tuple[Credentials, ...]:
        return tuple(self._kinds.values())


class Anchors:
    """The trust anchors of a context, added step by step; `anchors` makes one object of them, once."""

    def __init__(self) -> None:
        self._parts: list[TrustAnchors] = []
        self._made: TrustAnchors | None = None

    def add(self, cafile: Any, capath: Any, cadata: Any) -> None:
        """`load_verify_locations`; errors as there, ConfigurationError being the `ssl.SSLError`."""
        if cafile is None and capath is None and cadata is None:
            raise TypeError("cafile, capath and cadata cannot be all omitted")
        parts: list[TrustAnchors] = []
        if cadata is not None:
            parts.append(_from_memory(cadata))
        if cafile is not None:
            try:
                path = os.fspath(cafile)
            except TypeError:
                raise TypeError("cafile should be a valid filesystem path") from None
            parts.append(TrustAnchors.from_file(os.fsdecode(path)))
        if capath is not None:
            try:
                path = os.fspath(capath)
            except TypeError:
                raise TypeError("capath should be a valid filesystem path") from None
            # As in `ssl`, a directory that is not there holds nothing.
            if os.path.isdir(path):
                parts.append(TrustAnchors.from_directory(os.fsdecode(path)))
        self._parts += parts
        self._made = None

    def add_system(self) -> None:
        """Those of the system, as the environment has it now; all contexts share them."""
        system = TrustAnchors.system()
        if system not in self._parts:
            self._parts.append(system)
            self._made = None

    @property
    def anchors(self) -> TrustAnchors:
        """All of them; none at all means that nobody is trusted."""
        if len(self._parts) == 1:
            return self._parts[0]
        if self._made is None:
            self._made = TrustAnchors(each for part in self._parts for each in part.certificates)
        return self._made


def _from_memory(cadata: Any) -> TrustAnchors:
    if isinstance(cadata, str):
        if not cadata.isascii():
            raise TypeError("cadata should be an ASCII string or a bytes-like object")
        if not cadata:
            raise ValueError("Empty certificate data")
        return TrustAnchors.from_pem(cadata)
    try:
        data = bytes(memoryview(cadata))
    except TypeError:
        raise TypeError("cadata should be an ASCII string or a bytes-like object") from None
    if not data:
        raise ValueError("Empty certificate data")
    try:
        return TrustAnchors.from_der(data)
    except ConfigurationError:
        if _PEM in data:
            return TrustAnchors.from_pem(data)
        raise
