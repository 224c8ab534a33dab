"""The public names, and that those of asyncio come when they are asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tlswrite
import tlswrite.asyncio


@pytest.mark.parametrize("name", tlswrite.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(tlswrite, name)
    assert value.__doc__
    assert name in dir(tlswrite)


def test_names_of_asyncio_are_its_packages() -> None:
    assert tlswrite.create_connection is tlswrite.asyncio.create_connection
    assert tlswrite.start_unix_server is tlswrite.asyncio.start_unix_server


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'tlswrite' has no attribute 'nothing'"):
        tlswrite.nothing  # noqa: B018


def test_import_and_dir_leave_asyncio_out() -> None:
    code = "import sys, tlswrite; dir(tlswrite); print('asyncio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_star_import_gives_all_of_them() -> None:
    names: dict[str, object] = {}
    exec("from tlswrite import *", names)
    assert set(tlswrite.__all__) <= set(names)
