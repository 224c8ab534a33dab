"""Who speaks first, and which version's handshake a hello of either side leads to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.engine import (
    BOTH,
    ECDHE,
    HOST,
    ONLY_1_2,
    TLS_1_2,
    TLS_1_3,
    client_config,
    server_config,
)
from tests.support.handshakes import (
    CH,
    SH,
    Edit,
    Handshake,
    Recorder,
    Side,
    client_refuses,
    editing,
    from_client,
    server_refuses,
    with_extension,
)
from tlswrite.config import Mode
from tlswrite.crypto.suites import TLS12_SUITES
from tlswrite.errors import (
    DecodeError,
    DecryptError,
    IllegalParameter,
    InappropriateFallback,
    PeerError,
    ProtocolVersionError,
    UnsupportedExtension,
)
from tlswrite.handshake.control import Control
from tlswrite.iana import AlertDescription, ExtensionType, NamedGroup
from tlswrite.messages import extensions as ext
from tlswrite.messages.framing import MESSAGES12
from tlswrite.messages.hello import (
    DOWNGRADE_TLS11,
    DOWNGRADE_TLS12,
    HELLO_RETRY_REQUEST_RANDOM,
    ServerHello,
)
from tlswrite.negotiate import client_handshake, negotiate, server_handshake
from tlswrite.record.receive import ReceivePath
from tlswrite.record.send import SendPath

#: Fields of a configuration, by what it can do.
VERSIONS: dict[str, dict[str, Any]] = {
    "1.2": ONLY_1_2,
    "1.3": {"minimum_version": TLS_1_3, "groups": ECDHE},
    "both": {**BOTH, "groups": ECDHE},
}


def of_server(edit: Edit) -> Edit:
    return lambda name, raw: edit(name, raw) if name == "server" else raw


def server_hello(**fields: Any) -> Edit:
    return of_server(editing(SH, lambda message: replace(message, **fields), messages=MESSAGES12))


def in_client_hello(extension: int, data: bytes | None, **fields: Any) -> Edit:
    return from_client(
        editing(
            CH,
            lambda message: replace(with_extension(message, extension, data), **fields),
            messages=MESSAGES12,
        )
    )


def test_a_client_speaks_first_and_a_server_waits() -> None:
    # The class of the configuration tells the role.
    control = Control(SendPath(), ReceivePath())
    control.start(negotiate(control, server_config(), None))
    assert control.state == "START"
    assert not control.send_path.has_output
    for fields in VERSIONS.values():
        control = Control(SendPath(), ReceivePath())
        control.start(negotiate(control, client_config(**fields), HOST))
        assert control.state == "WAIT_SH"
        assert control.send_path.has_output
        assert not control.tls12, "which version it will be is the server's to say"


# ---- choices ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", VERSIONS)
@pytest.mark.parametrize("client", VERSIONS)
def test_the_highest_version_of_both(client: str, server: str) -> None:
    mine, theirs = client_config(**VERSIONS[client]), server_config(**VERSIONS[server])
    common = set(mine.versions) & set(theirs.versions)
    made = Handshake(mine, theirs)
    if not common:
        # RFC 9846 §4.3.1, RFC 5246 §E.1.
        assert type(made.server.error) is ProtocolVersionError
        assert made.server.error.alert is AlertDescription.PROTOCOL_VERSION
        assert not made.complete
        return
    assert made.complete
    for side in (made.client, made.server):
        assert side.io.result is not None
        assert side.io.result.version == max(common)
        assert side.io.tls12 == (max(common) == TLS_1_2)


@pytest.mark.parametrize(("server", "states"), [("1.2", "WAIT_CERT"), ("1.3", "WAIT_EE")])
def test_each_hello_goes_on_to_its_version(server: str, states: str) -> None:
    # RFC 5246 §7.3; RFC 9846 §A.1, §A.2.
    made = Handshake(client_config(**VERSIONS["both"]), server_config(**VERSIONS[server]))
    assert made.client.waits[:2] == ["WAIT_SH", states]
    assert made.server.waits[:2] == ["START", "WAIT_CKE" if server == "1.2" else "WAIT_FINISHED"]


def test_a_hello_retry_request_is_of_tls_1_3() -> None:
    made = Handshake(
        client_config(**BOTH, groups=(NamedGroup.x25519, NamedGroup.secp256r1)),
        server_config(**BOTH, groups=(NamedGroup.secp256r1,)),
    )
    assert made.complete
    assert made.client.waits[:2] == ["WAIT_SH", "WAIT_SH"]
    assert made.client.io.result is not None and made.client.io.result.version == TLS_1_3


def test_a_hello_retry_request_to_a_client_of_tls_1_2_is_no_choice() -> None:
    # To such a client it is a ServerHello with a suite that it never offered.
    retry = ServerHello(HELLO_RETRY_REQUEST_RANDOM, b"", 0x1301, ())
    error = client_refuses(
        of_server(editing(SH, lambda message: retry, messages=MESSAGES12)),
        IllegalParameter,
        "TLS_AES_128_GCM_SHA256",
        client=client_config(**ONLY_1_2),
        server=server_config(**ONLY_1_2),
    )
    assert error.alert is AlertDescription.ILLEGAL_PARAMETER


@pytest.mark.parametrize("versions", [b"\x03\x04", b"\x03\x03"])
def test_supported_versions_to_a_client_of_tls_1_2_is_an_answer_to_nothing(versions: bytes) -> None:
    # RFC 5246 §7.4.1.4: an extension that was not asked for: "unsupported_extension".
    client_refuses(
        of_server(
            editing(
                SH,
                lambda message: with_extension(message, ExtensionType.SUPPORTED_VERSIONS, versions),
                messages=MESSAGES12,
            )
        ),
        UnsupportedExtension,
        "an answer to supported_versions, which was not offered",
        client=client_config(**ONLY_1_2),
        server=server_config(**ONLY_1_2),
    )


@pytest.mark.parametrize("versions", [b"\x03\x03", b"\x03\x02", b"\x7f\x1c"])
def test_a_server_does_not_choose_an_older_version_in_supported_versions(versions: bytes) -> None:
    # RFC 9846 §4.3.1: a version below TLS 1.3 there: "illegal_parameter".
    extended = of_server(
        editing(SH, lambda message: with_extension(message, ExtensionType.SUPPORTED_VERSIONS, versions))
    )
    client_refuses(
        extended,
        IllegalParameter,
        client=client_config(**VERSIONS["both"]),
        server=server_config(**VERSIONS["1.3"]),
    )


@pytest.mark.parametrize("legacy_version", [0x0300, 0x0301, 0x0302, 0x0304, 0x0305, 0x7F1C])
@pytest.mark.parametrize("client", ["1.2", "both"])
def test_a_server_hello_of_another_version(client: str, legacy_version: int) -> None:
    # RFC 5246 §E.1, RFC 8996 §4: a version that the client does not support: "protocol_version".
    error = client_refuses(
        server_hello(legacy_version=legacy_version),
        ProtocolVersionError,
        "this client accepts",
        client=client_config(**VERSIONS[client]),
        server=server_config(**ONLY_1_2),
    )
    assert error.alert is AlertDescription.PROTOCOL_VERSION


def test_a_client_of_tls_1_3_does_not_fall_back() -> None:
    # RFC 9846 §E.1: a ServerHello of TLS 1.2 that nobody asked for.
    answer = ServerHello(b"r" * 32, b"", 0xC02B, ())
    error = client_refuses(
        of_server(editing(SH, lambda message: answer)),
        ProtocolVersionError,
        "the server chose TLS 1.2; this client accepts TLS 1.3 only",
        client=client_config(**VERSIONS["1.3"]),
        server=server_config(**VERSIONS["1.3"]),
    )
    assert error.alert is AlertDescription.PROTOCOL_VERSION


@pytest.mark.parametrize("legacy_version", [0x0301, 0x0302])
@pytest.mark.parametrize("server", ["1.2", "both"])
def test_a_client_hello_of_an_older_version(server: str, legacy_version: int) -> None:
    # RFC 8996 §4, §5: TLS 1.0 and TLS 1.1 MUST NOT be negotiated.
    server_refuses(
        in_client_hello(ExtensionType.SUPPORTED_VERSIONS, None, legacy_version=legacy_version),
        ProtocolVersionError,
        "the client offers",
        client=client_config(**VERSIONS["both"]),
        server=server_config(**VERSIONS[server]),
    )


def test_old_versions_in_supported_versions_do_not_help() -> None:
    server_refuses(
        in_client_hello(
            ExtensionType.SUPPORTED_VERSIONS, ext.encode_supported_versions_client((0x0302, 0x0301, 0x0300))
        ),
        ProtocolVersionError,
        "offers TLS 1.1, TLS 1.0, SSL 3.0",
        client=client_config(**VERSIONS["both"]),
        server=server_config(**VERSIONS["both"]),
    )


def test_tls_1_2_below_the_legacy_version_is_refused() -> None:
    # RFC 9846 §4.3.1 has supported_versions decide; a hello of TLS 1.2 says so in legacy_version too.
    server_refuses(
        in_client_hello(
            ExtensionType.SUPPORTED_VERSIONS,
            ext.encode_supported_versions_client((TLS_1_2,)),
            legacy_version=0x0302,
        ),
        ProtocolVersionError,
        "below TLS 1.2",
        client=client_config(**VERSIONS["both"]),
        server=server_config(**VERSIONS["both"]),
    )


# ---- downgrades -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "server", "sentinel"),
    [
        # RFC 9846 §4.2.3: a server of TLS 1.3 that negotiates TLS 1.2 MUST set the last 8 bytes.
        ("1.2", "both", True),
        ("1.2", "1.2", False),
        ("both", "1.2", False),
        ("both", "both", False),
        ("1.3", "1.3", False),
    ],
)
def test_when_a_server_warns_of_a_downgrade(client: str, server: str, sentinel: bool) -> None:
    randoms = set()
    for _ in range(3):
        made = Handshake(client_config(**VERSIONS[client]), server_config(**VERSIONS[server]))
        assert made.complete
        (hello,) = made.sent("server", SH)
        assert (hello.random[-8:] == DOWNGRADE_TLS12) == sentinel
        assert hello.random[-8:] != DOWNGRADE_TLS11
        randoms.add(hello.random)
    assert len(randoms) == 3, "the rest stays random"


def test_a_server_warns_by_what_it_could_have_negotiated() -> None:
    # Not by maximum_version, where suites or groups leave nothing for TLS 1.3; and the version is chosen before an
    # SNI callback chooses the rest. Else clients of TLS 1.3 would take it for a downgrade.
    both = server_config(**VERSIONS["both"])
    for server in (
        server_config(**VERSIONS["both"], cipher_suites=TLS12_SUITES),
        server_config(**ONLY_1_2, sni_callback=lambda name: both),
    ):
        assert server.versions == (TLS_1_2,)
        for client in ("1.2", "both"):
            made = Handshake(client_config(**VERSIONS[client]), server)
            assert made.complete
            assert made.sent("server", SH)[0].random[-8:] != DOWNGRADE_TLS12
    lowered = server_config(**VERSIONS["both"], sni_callback=lambda name: server_config(**ONLY_1_2))
    made = Handshake(client_config(**ONLY_1_2), lowered)
    assert made.complete
    assert made.sent("server", SH)[0].random[-8:] == DOWNGRADE_TLS12


@pytest.mark.parametrize("sentinel", [DOWNGRADE_TLS12, DOWNGRADE_TLS11])
@pytest.mark.parametrize("client", ["both", "1.3"])
def test_a_client_of_tls_1_3_heeds_the_warning(client: str, sentinel: bytes) -> None:
    # RFC 9846 §4.2.3: MUST check, and abort with an "illegal_parameter" alert.
    answer = ServerHello(bytes(24) + sentinel, b"", 0xC02B, ())
    for legacy_version in (0x0301, 0x0302, 0x0303):
        changed = replace(answer, legacy_version=legacy_version)
        error = client_refuses(
            of_server(editing(SH, lambda message, changed=changed: changed)),
            IllegalParameter,
            "a downgrade attack, or a meddling middlebox",
            client=client_config(**VERSIONS[client]),
            server=server_config(**VERSIONS["1.3"]),
        )
        assert error.alert is AlertDescription.ILLEGAL_PARAMETER


def test_the_sentinel_means_nothing_in_a_server_hello_of_tls_1_3() -> None:
    # RFC 9846 §4.2.3 is about TLS 1.2 and below; here the signature tells that the random was changed.
    made = Handshake(
        client_config(**VERSIONS["both"]),
        server_config(**VERSIONS["both"]),
        of_server(editing(SH, lambda message: replace(message, random=bytes(24) + DOWNGRADE_TLS12))),
    )
    assert made.client.waits[:2] == ["WAIT_SH", "WAIT_EE"]
    assert type(made.client.error) is DecryptError


def test_a_client_of_tls_1_2_goes_by_tls_1_2() -> None:
    # It meets the sentinel of every newer server; RFC 9846 §4.2.3 has it check for that of TLS 1.1.
    assert Handshake(client_config(**ONLY_1_2), server_config(**VERSIONS["both"])).complete
    client_refuses(
        server_hello(legacy_version=0x0302, random=bytes(24) + DOWNGRADE_TLS11),
        ProtocolVersionError,
        client=client_config(**ONLY_1_2),
        server=server_config(**ONLY_1_2),
    )


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        # supported_versions taken out, or TLS 1.3 taken out of it: the server's sentinel tells.
        (in_client_hello(ExtensionType.SUPPORTED_VERSIONS, None), IllegalParameter),
        (in_client_hello(ExtensionType.SUPPORTED_VERSIONS, b"\2\3\3"), IllegalParameter),
    ],
    ids=["without", "lowered"],
)
def test_an_attackers_downgrade_is_noticed(edit: Edit, expected: type[PeerError]) -> None:
    made = Handshake(client_config(**VERSIONS["both"]), server_config(**VERSIONS["both"]), edit)
    assert made.server.io.tls12
    assert type(made.client.error) is expected
    assert "downgrade" in made.client.error.message
    assert not made.complete


def test_a_downgrade_with_the_sentinel_taken_away_fails_by_its_signature() -> None:
    # RFC 8422 §5.4: the randoms are signed.
    lower = in_client_hello(ExtensionType.SUPPORTED_VERSIONS, None)
    hide = server_hello(random=bytes(32))
    made = Handshake(
        client_config(**VERSIONS["both"]),
        server_config(**VERSIONS["both"]),
        lambda name, raw: lower(name, raw) if name == "client" else hide(name, raw),
    )
    assert type(made.client.error) is DecryptError
    assert not made.complete


@pytest.mark.parametrize("server", VERSIONS)
def test_a_second_try_with_a_lower_version(server: str) -> None:
    # RFC 7507 §3: "inappropriate_fallback" where the server can do better.
    falling = client_config(**ONLY_1_2, mode=Mode.SEND_FALLBACK_SCSV)
    made = Handshake(falling, server_config(**VERSIONS[server]))
    if server == "1.2":
        assert made.complete
        return
    expected = InappropriateFallback if server == "both" else ProtocolVersionError
    assert type(made.server.error) is expected
    # One that is no fallback at all has nothing to fear from the signal.
    best = client_config(**VERSIONS["both"], mode=Mode.SEND_FALLBACK_SCSV)
    assert Handshake(best, server_config(**VERSIONS[server])).complete


# ---- hellos that are none ---------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"\3\3", b"\3\3" + bytes(31)])
def test_hellos_cut_short(body: bytes) -> None:
    for fields in VERSIONS.values():
        io = Recorder()
        client = Side(io, client_handshake(io, client_config(**fields), HOST))
        server = Side(Recorder(), server_handshake(Recorder(), server_config(**fields)))
        for side, kind in ((client, SH), (server, CH)):
            side.start()
            side.receive(bytes((kind,)) + len(body).to_bytes(3, "big") + body)
            assert type(side.error) is DecodeError
