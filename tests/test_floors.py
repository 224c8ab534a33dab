"""The floors: what imports what, read from the source.

A file imports only from floors beneath its own; siblings on a floor never import each other; inside one
package there are no circles. Type-only imports and imports inside functions count like any other. Some
libraries have one home each. Imports by name (`importlib`, `__import__`) would go round all this: only the
package's own `__init__` may use them, for the names it gives out lazily.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "tlswrite"

#: From the ground up; a room is a file or a package right under tlswrite/, "" is tlswrite/__init__.py.
FLOORS = (
    ("compiled", "iana"),
    ("errors", "limits"),
    ("codec",),
    ("messages", "crypto"),
    ("transcript", "session"),
    ("config", "record"),
    ("handshake",),
    ("tls13", "tls12"),
    ("negotiate",),
    ("connection",),
    ("asyncio", "sync", "trace"),
    ("stdlib",),
    ("takeover",),
    ("",),
    ("cli",),
    ("__main__",),
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

#: The only rooms that import these.
HOMES = {
    "aiohappyeyeballs": {"asyncio"},
    "asyncio": {"asyncio", "cli", "takeover"},
    "cryptography": {"crypto"},
    "hashlib": {"crypto"},
    "hmac": {"crypto"},
    "uvloop": {"asyncio", "cli", "takeover"},
}

Sources = Mapping[str, str]


def read_sources() -> dict[str, str]:
    """The modules of the package: dotted name (a package's is that of its `__init__`) to source."""
    sources = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        sources[name] = path.read_text(encoding="utf-8")
    return sources


def is_package(module: str, sources: Sources) -> bool:
    return any(other.startswith(f"{module}.") for other in sources)


def imports_of(module: str, sources: Sources) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each module that `module` imports, wherever the statement stands."""
    for node in ast.walk(ast.parse(sources[module], filename=module)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                kept = len(parts) - node.level + is_package(module, sources)
                base = ".".join([*parts[:kept], *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield node.lineno, whole if whole in sources or base == "importlib" else base
        elif isinstance(node, ast.Name) and node.id == "__import__":
            yield node.lineno, "importlib"


def room_of(module: str) -> str:
    return module.partition(".")[2].partition(".")[0]


def faults_of(module: str, sources: Sources) -> list[str]:
    """What is wrong with the imports of one module, in words."""
    room = room_of(module)
    if room not in FLOOR_OF:
        return [f"{module} stands on no floor"]
    faults = []
    for line, target in imports_of(module, sources):
        top = target.partition(".")[0]
        where = f"{module}:{line} imports {target}"
        if top != PACKAGE:
            if room not in HOMES.get(top, {room}):
                faults.append(f"{where}, which belongs to {' and '.join(sorted(HOMES[top]))}")
            elif top == "importlib" and room and target not in ("importlib.metadata", "importlib.resources"):
                faults.append(f"{where}, which hides what is imported")
            continue
        other = room_of(target)
        if other not in FLOOR_OF:
            faults.append(f"{where}, which stands on no floor")
        elif other != room and FLOOR_OF[other] == FLOOR_OF[room]:
            faults.append(f"{where}, its sibling")
        elif FLOOR_OF[other] > FLOOR_OF[room]:
            faults.append(f"{where}, from a floor above")
    return faults


def circle_in(room: str, sources: Sources) -> list[str]:
    """A circle of imports among the modules of a package, first module repeated at the end; else empty."""
    modules = [module for module in sources if room_of(module) == room]
    edges = {
        module: [
            target for _, target in imports_of(module, sources) if target in modules and target != module
        ]
        for module in modules
    }
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for target in edges[module]:
            if found := walk(target, [*path, module]):
                return found
        done.add(module)
        return []

    for module in modules:
        if found := walk(module, []):
            return found
    return []


SOURCES = read_sources()


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_module_imports_from_beneath(module: str) -> None:
    assert faults_of(module, SOURCES) == []


@pytest.mark.parametrize("room", sorted({room_of(module) for module in SOURCES}))
def test_package_has_no_circle(room: str) -> None:
    assert circle_in(room, SOURCES) == []


def test_modules_are_found() -> None:
    assert {"tlswrite.iana", "tlswrite.codec", "tlswrite.messages", "tlswrite.messages.hello"} <= set(SOURCES)


# ---- the checks themselves ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("tlswrite.codec", "from tlswrite.messages import hello", "from a floor above"),
        ("tlswrite.codec", "from tlswrite.messages.hello import ClientHello", "from a floor above"),
        ("tlswrite.codec", "import tlswrite", "from a floor above"),
        ("tlswrite.codec", "from tlswrite import TLSConnection", "from a floor above"),
        ("tlswrite.codec", "from .messages import hello", "from a floor above"),
        ("tlswrite.codec", "from . import messages", "from a floor above"),
        ("tlswrite.codec", "def f():\n    import tlswrite.connection", "from a floor above"),
        ("tlswrite.codec", "if TYPE_CHECKING:\n    import tlswrite.connection", "from a floor above"),
        ("tlswrite.messages", "from ..crypto import kdf", "its sibling"),
        ("tlswrite.messages", "from tlswrite.crypto import kdf", "its sibling"),
        ("tlswrite.messages.hello", "from ..crypto import kdf", "its sibling"),
        ("tlswrite.limits", "from tlswrite import errors", "its sibling"),
        ("tlswrite.stray", "", "stands on no floor"),
        ("tlswrite.codec", "from tlswrite.stray import x", "which stands on no floor"),
        ("tlswrite.record.send", "import hashlib", "which belongs to crypto"),
        ("tlswrite.record.send", "from cryptography.hazmat import primitives", "which belongs to crypto"),
        ("tlswrite.connection", "import asyncio", "which belongs to asyncio and cli and takeover"),
        ("tlswrite.connection", "import importlib", "which hides what is imported"),
        ("tlswrite.connection", "from importlib import import_module", "which hides what is imported"),
        ("tlswrite.connection", "__import__('asyncio')", "which hides what is imported"),
        ("tlswrite.cli.main", "import importlib.metadata\nfrom importlib import resources", ""),
        ("tlswrite.codec", "from tlswrite import errors, limits", ""),
        ("tlswrite.codec", "import os, secrets, ssl", ""),
        (
            "tlswrite.messages.hello",
            "from . import base\nfrom .base import x\nfrom ..codec import Reader",
            "",
        ),
        ("tlswrite.crypto.kdf", "import hmac, hashlib", ""),
        ("tlswrite.asyncio.transport", "import asyncio\nfrom tlswrite.connection import TLSConnection", ""),
        ("tlswrite.cli.demo", "import asyncio, tlswrite", ""),
        ("tlswrite", "import importlib\nfrom tlswrite.asyncio import transport", ""),
    ],
)
def test_check_of_imports(module: str, source: str, fault: str) -> None:
    tree = dict.fromkeys(
        [
            "tlswrite",
            "tlswrite.asyncio",
            "tlswrite.asyncio.transport",
            "tlswrite.connection",
            "tlswrite.crypto",
            "tlswrite.crypto.kdf",
            "tlswrite.errors",
            "tlswrite.limits",
            "tlswrite.messages",
            "tlswrite.messages.base",
            "tlswrite.messages.hello",
        ],
        "",
    )
    faults = faults_of(module, {**tree, module: source})
    assert len(faults) == bool(fault), faults
    assert fault in "".join(faults)


def test_check_of_circles() -> None:
    tree = {
        "tlswrite.record": "",
        "tlswrite.record.a": "from tlswrite.record.b import x",
        "tlswrite.record.b": "from tlswrite.record import c, d",
        "tlswrite.record.c": "",
        "tlswrite.record.d": "from .c import x",
        "tlswrite.messages.a": "",
    }
    assert circle_in("record", tree) == []
    tree["tlswrite.record.c"] = "from . import a"
    assert circle_in("record", tree) == [f"tlswrite.record.{name}" for name in "abca"]


# ---- at run time ------------------------------------------------------------------------------------------


def modules_after(script: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after `script`."""
    result = subprocess.run(
        [sys.executable, "-c", f"import sys\n{script}\nprint(*sys.modules)"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_import_leaves_asyncio_out() -> None:
    loaded = modules_after("import tlswrite")
    assert "tlswrite" in loaded
    assert "asyncio" not in loaded


def test_connection_leaves_asyncio_out() -> None:
    loaded = modules_after(
        "from tlswrite.config import ClientConfig\n"
        "from tlswrite.connection import TLSConnection\n"
        "from tlswrite.errors import WantReadError\n"
        "connection = TLSConnection(ClientConfig(), server_hostname='localhost')\n"
        "try:\n"
        "    connection.do_handshake()\n"
        "except WantReadError:\n"
        "    assert connection.bio_read(65536)\n"
        "else:\n"
        "    raise SystemExit('no handshake was begun')\n"
    )
    assert "tlswrite.connection" in loaded
    assert "asyncio" not in loaded
