"""Our verdict on chains of every kind, beside that of `openssl verify` on the same chains.

A row says what we do (None: accept; else the reason), what OpenSSL does (None, or its error numbers), and where the
two differ why that is wanted. A verdict that changes on either side, or a difference without a reason, fails.
"""

from __future__ import annotations

import ipaddress
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support.chains import CLIENT, SERVER, Cert, Chain, authority, issue, leaf, root
from tlswrite.crypto.trust import TrustAnchors
from tlswrite.crypto.x509 import verify_server
from tlswrite.errors import CertificateError, VerifyError

V = VerifyError
ANY = (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)
DNS = x509.DNSName


@dataclass(frozen=True, eq=False)
class Row:
    name: str
    chain: Chain
    ours: VerifyError | None
    openssl: tuple[int, ...]  # any of these; empty: it accepts
    why: str = ""
    #: What the message must say to the person who has to mend it.
    says: str = ""


def _subnet(text: str) -> x509.IPAddress:
    return x509.IPAddress(ipaddress.ip_network(text))


ROOT = root()
MIDDLE = authority("Middle", ROOT, path_length=0)
UNKNOWN_CRITICAL = ((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True),)

ONLY_NAMES_COUNT = (
    "a common name has not counted since RFC 6125; ssl turns it off too (hostname_checks_common_name)"
)
SIGNS = "RFC 9846 §4.5.1.2: the certificate signs the handshake, so its key usage must allow digitalSignature"
ANCHOR_IS_ANCHOR = "whatever is among the anchors is one (RFC 5280 §6); Python's ssl does so from 3.13 on"
WEAK_KEYS = (
    "RSA keys below 2048 bits are refused; OpenSSL does so from security level 2 on, the default of TLS there"
)
LIBRARY = "the path is verified by `cryptography`, which takes ECDSA and RSA keys of issuers alone"


def good() -> Iterator[Row]:
    """What both accept."""

    def row(name: str, chain: Chain) -> Row:
        return Row(name, chain, None, ())

    yield row("a leaf under a root", Chain([leaf(ROOT)], [ROOT]))
    yield row("through an intermediate", Chain([leaf(MIDDLE), MIDDLE], [ROOT]))
    for kind in ("p256", "p384", "rsa2048", "ed25519", "ed448"):
        own = issue("own", san=("a.example",), usage=(), kind=kind)
        yield row(f"self-signed leaf that is the anchor ({kind})", Chain([own], [own]))
    own = issue("own", san=("a.example",), ca=True, usage=())
    yield row("as `openssl req -x509` makes them: an authority of itself", Chain([own], [own]))
    own = issue("own", san=("a.example",), usage=(), key_identifiers=False)
    yield row("self-signed without key identifiers", Chain([own], [own]))
    for kind in ("p384", "rsa2048"):
        top = root(kind=kind)
        yield row(f"under a root with {kind}", Chain([leaf(top)], [top]))
        middle = authority("between", ROOT, kind=kind)
        yield row(f"through an intermediate with {kind}", Chain([leaf(middle), middle], [ROOT]))
    plain = root(key_identifiers=False)
    yield row("no key identifiers anywhere", Chain([leaf(plain, key_identifiers=False)], [plain]))
    yield row("an identifier of an issuer that has none", Chain([leaf(plain)], [plain]))
    lax = root(usage=())
    yield row("an authority without key usage", Chain([leaf(lax)], [lax]))
    lax = root(constraints_critical=False)
    yield row("basic constraints that are not critical", Chain([leaf(lax)], [lax]))
    yield row("a critical SAN", Chain([leaf(ROOT, san_critical=True)], [ROOT]))
    yield row("a critical SAN and no subject", Chain([leaf(ROOT, subject="", san_critical=True)], [ROOT]))
    yield row("a SAN that is not critical and no subject", Chain([leaf(ROOT, subject="")], [ROOT]))
    yield row("an IPv4 address", Chain([leaf(ROOT, "127.0.0.1")], [ROOT], "127.0.0.1"))
    yield row("an IPv6 address", Chain([leaf(ROOT, "::1")], [ROOT], "::1"))
    yield row("a wildcard", Chain([leaf(ROOT, "*.a.example")], [ROOT], "x.a.example"))
    yield row("capitals", Chain([leaf(ROOT, "A.EXAMPLE")], [ROOT]))
    yield row("an underscore", Chain([leaf(ROOT, "a_b.example")], [ROOT], "a_b.example"))
    yield row("one label", Chain([leaf(ROOT, "localhost")], [ROOT], "localhost"))
    yield row("no name asked for", Chain([leaf(ROOT)], [ROOT], None))
    yield row("no purposes", Chain([leaf(ROOT, purposes=())], [ROOT]))
    server = authority("for servers", ROOT, purposes=SERVER)
    yield row("an authority for servers", Chain([leaf(server), server], [ROOT]))
    for name, fields in (
        ("inside", {"permitted": (DNS("example"),)}),
        ("beside what is excluded", {"excluded": (DNS("other"),)}),
        ("of another kind", {"permitted": (_subnet("10.0.0.0/8"),)}),
    ):
        limited = authority("limited", ROOT, **fields)  # type: ignore[arg-type]
        yield row(f"a name constraint, {name}", Chain([leaf(limited), limited], [ROOT]))
    limited = authority("limited", ROOT, permitted=(_subnet("10.0.0.0/8"),))
    yield row("a constraint on addresses", Chain([leaf(limited, "10.1.2.3"), limited], [ROOT], "10.1.2.3"))
    critical = (x509.ExtendedKeyUsage(SERVER), True)
    yield row(
        "critical purposes, as trustme has them", Chain([leaf(ROOT, purposes=(), extra=(critical,))], [ROOT])
    )
    strict = authority("strict", ROOT, extra=(critical,))
    yield row("critical purposes of an authority", Chain([leaf(strict), strict], [ROOT]))
    yield row("valid for decades", Chain([leaf(ROOT, days=(-1, 20_000))], [ROOT]))
    yield row("a leaf that says it is no authority", Chain([leaf(ROOT, ca=False)], [ROOT]))
    both = leaf(ROOT, ca=True, usage=("digital_signature", "key_cert_sign"))
    yield row("a leaf that is an authority too", Chain([both], [ROOT]))


def orders() -> Iterator[Row]:
    """Chains in disorder, and more than one way."""

    def row(name: str, chain: Chain, *openssl: int, why: str = "") -> Row:
        return Row(name, chain, None, openssl, why)

    one = authority("one", ROOT)
    two = authority("two", one)
    stranger = root("stranger")
    yield row("badly ordered", Chain([leaf(two), one, ROOT, two], [ROOT]))
    yield row("the root among them", Chain([leaf(MIDDLE), MIDDLE, ROOT], [ROOT]))
    yield row("the same several times", Chain([leaf(MIDDLE), MIDDLE, MIDDLE, MIDDLE], [ROOT]))
    yield row("others among them", Chain([leaf(MIDDLE), stranger, root(), MIDDLE], [ROOT]))
    crossed = authority("crossed", ROOT)
    alone = authority("crossed", None, own_key=crossed.key)
    why = "there is a path; OpenSSL takes the first issuer that fits and does not turn back"
    yield row("cross-signed, both shown", Chain([leaf(crossed), alone, crossed], [ROOT]), 19, why=why)
    yield row("cross-signed, the other is trusted", Chain([leaf(crossed), crossed], [alone]))
    late = authority("crossed", ROOT, own_key=crossed.key, days=(-10, -1))
    yield row("cross-signed, one has expired", Chain([leaf(crossed), late, crossed], [ROOT]))
    old = root("old", days=(-10, -1))
    first = authority("moved", old)
    second = authority("moved", ROOT, own_key=first.key)
    yield row("an expired root, another way", Chain([leaf(first), first, second], [old, ROOT]), 10, why=why)
    yield row("an intermediate among the anchors", Chain([leaf(MIDDLE)], [MIDDLE]), 2, why=ANCHOR_IS_ANCHOR)
    yield row("and its root too", Chain([leaf(MIDDLE)], [MIDDLE, ROOT]))
    own = leaf(MIDDLE)
    yield row("the leaf itself among the anchors", Chain([own], [own]), 20, 21, why=ANCHOR_IS_ANCHOR)


def names() -> Iterator[Row]:
    def row(
        name: str, chain: Chain, *openssl: int, ours: VerifyError | None = V.HOSTNAME_MISMATCH, why: str = ""
    ) -> Row:
        return Row(name, chain, ours, openssl, why, says="is not for" if ours else "")

    yield row("another name", Chain([leaf(ROOT, "b.example")], [ROOT]), 62)
    yield Row(
        "a common name alone",
        Chain([leaf(ROOT, subject="a.example", san=())], [ROOT]),
        V.HOSTNAME_MISMATCH,
        (),
        ONLY_NAMES_COUNT,
        says="a common name does not count",
    )
    yield row(
        "a common name and other names", Chain([leaf(ROOT, "b.example", subject="a.example")], [ROOT]), 62
    )
    address = V.IP_ADDRESS_MISMATCH
    as_name = leaf(ROOT, DNS("127.0.0.1"))
    yield row("an address written as a name", Chain([as_name], [ROOT], "127.0.0.1"), 64, ours=address)
    in_subject = leaf(ROOT, "b.example", subject="127.0.0.1")
    yield row("an address as common name", Chain([in_subject], [ROOT], "127.0.0.1"), 64, ours=address)
    yield row("another address", Chain([leaf(ROOT, "::1")], [ROOT], "::2"), 64, ours=address)
    for pattern, name in (
        ("*.a.example", "a.example"),
        ("*.a.example", "x.y.a.example"),
        ("a*.example", "aa.example"),
        ("*", "a"),
        ("*.*.example", "a.b.example"),
        ("a.*.example", "a.b.example"),
        ("xn--*.example", "xn--a.example"),
        ("a.example.", "a.example"),
    ):
        yield row(f"{pattern} for {name}", Chain([leaf(ROOT, pattern)], [ROOT], name), 62)
    bad = Chain([leaf(ROOT, "*.1.2.3")], [ROOT], "0.1.2.3")
    yield row("a wildcard for an address", bad, 64, ours=address)
    why = "OpenSSL wants two labels behind a wildcard; which of them may be issued is the authority's affair"
    for pattern, name in (("*.example", "a.example"), ("*.com", "a.com")):
        yield row(f"{pattern} for {name}", Chain([leaf(ROOT, pattern)], [ROOT], name), 62, ours=None, why=why)


def faults() -> Iterator[Row]:
    def row(name: str, chain: Chain, ours: VerifyError, *openssl: int, why: str = "", says: str = "") -> Row:
        return Row(name, chain, ours, openssl, why, says)

    # Time.
    yield row(
        "expired",
        Chain([leaf(ROOT, days=(-10, -1))], [ROOT]),
        V.CERT_HAS_EXPIRED,
        10,
        says="'a server' expired on",
    )
    late = authority("late", ROOT, days=(-10, -1))
    yield row(
        "expired intermediate",
        Chain([leaf(late), late], [ROOT]),
        V.CERT_HAS_EXPIRED,
        10,
        says="'late' expired on",
    )
    late = root("late", days=(-10, -1))
    yield row("expired root", Chain([leaf(late)], [late]), V.CERT_HAS_EXPIRED, 10, says="'late' expired on")
    yield row(
        "not yet valid",
        Chain([leaf(ROOT, days=(1, 9))], [ROOT]),
        V.CERT_NOT_YET_VALID,
        9,
        says="is not valid before",
    )
    early = root("early", days=(1, 9))
    yield row(
        "root not yet valid",
        Chain([leaf(early)], [early]),
        V.CERT_NOT_YET_VALID,
        9,
        says="'early' is not valid before",
    )
    # Use.
    for name, purposes in (("for clients alone", CLIENT), ("for anything", ANY)):
        chain = Chain([leaf(ROOT, purposes=purposes)], [ROOT])
        yield row(name, chain, V.INVALID_PURPOSE, 26, says="does not allow TLS servers")
    clients = authority("for clients", ROOT, purposes=CLIENT)
    yield row(
        "an authority for clients",
        Chain([leaf(clients), clients], [ROOT]),
        V.INVALID_PURPOSE,
        26,
        says="of an issuer",
    )
    for usage in ("key_encipherment", "key_agreement"):
        chain = Chain([leaf(ROOT, usage=(usage,))], [ROOT])
        yield row(f"key usage {usage} alone", chain, V.INVALID_PURPOSE, why=SIGNS, says="digital signatures")
    own = issue("own", san=("a.example",), ca=True, usage=("key_cert_sign",))
    yield row(
        "an authority's key usage on a server",
        Chain([own], [own]),
        V.INVALID_PURPOSE,
        26,
        says="digital signatures",
    )
    # Issuers.
    unknown = V.UNABLE_TO_GET_ISSUER_CERT_LOCALLY
    other = root("other")
    yield row("an unknown issuer", Chain([leaf(other)], [ROOT]), unknown, 20, says="'CN=other'")
    yield row("a missing intermediate", Chain([leaf(MIDDLE)], [ROOT]), unknown, 20, says="nor in the chain")
    own = issue("own", san=("a.example",))
    yield row(
        "self-signed, not trusted",
        Chain([own], [ROOT]),
        V.DEPTH_ZERO_SELF_SIGNED_CERT,
        18,
        says="'own' is self-signed",
    )
    yield row(
        "an unknown root, shown",
        Chain([leaf(other), other], [ROOT]),
        V.SELF_SIGNED_CERT_IN_CHAIN,
        19,
        says="'other' is self-signed",
    )
    yield row(
        "the same name, another key",
        Chain([leaf(root())], [ROOT]),
        unknown,
        20,
        says="same name, different key",
    )
    bare = root(key_identifiers=False)
    forged = Chain([leaf(bare, key_identifiers=False)], [ROOT])
    yield row(
        "the same, without identifiers",
        forged,
        V.CERT_SIGNATURE_FAILURE,
        7,
        says="does not verify with the key",
    )
    yield row("nobody is trusted", Chain([leaf(ROOT)], []), unknown, 20, says="there are no trust anchors")
    no = authority("no authority", ROOT, ca=False, usage=("digital_signature",))
    yield row("a leaf as issuer", Chain([leaf(no), no], [ROOT]), V.INVALID_CA, 79, 24)
    no = authority("no constraints", ROOT, ca=None, usage=())
    yield row("an issuer that does not say it is one", Chain([leaf(no), no], [ROOT]), V.INVALID_CA, 79, 24)
    no = root("old style", ca=None)
    why = "an authority must say that it is one (RFC 5280 §4.2.1.9); OpenSSL takes keyCertSign for the word"
    yield row("a root that says it by key usage", Chain([leaf(no)], [no]), V.INVALID_CA, why=why)
    no = authority("no signer", ROOT, usage=("digital_signature",))
    yield row(
        "an issuer that may not sign",
        Chain([leaf(no), no], [ROOT]),
        V.INVALID_CA,
        79,
        24,
        32,
        says="to sign certificates",
    )
    deep = authority("too deep", MIDDLE)
    yield row("a path too long", Chain([leaf(deep), deep, MIDDLE], [ROOT]), V.PATH_LENGTH_EXCEEDED, 25)
    # Constraints.
    for name, fields, ours, number in (
        ("outside what is permitted", {"permitted": (DNS("other"),)}, V.PERMITTED_VIOLATION, 47),
        ("inside what is excluded", {"excluded": (DNS("a.example"),)}, V.EXCLUDED_VIOLATION, 48),
    ):
        limited = authority("limited", ROOT, **fields)  # type: ignore[arg-type]
        says = "is for a.example, and the name constraints of 'limited' forbid that"
        yield row(name, Chain([leaf(limited), limited], [ROOT]), ours, number, says=says)
    limited = authority("limited", ROOT, permitted=(_subnet("10.0.0.0/8"),))
    outside = Chain([leaf(limited, "11.1.2.3"), limited], [ROOT], "11.1.2.3")
    yield row("an address outside", outside, V.PERMITTED_VIOLATION, 47, says="is for 11.1.2.3")
    limited = root("limited root", permitted=(DNS("other"),))
    yield row(
        "a root that is limited",
        Chain([leaf(limited)], [limited]),
        V.PERMITTED_VIOLATION,
        47,
        says="'limited root'",
    )
    limited = authority("limited", ROOT, permitted=(DNS(".example"),))
    why = (
        "RFC 5280 §4.2.1.10 has no dot in front of a dNSName constraint; read either way it would be a guess"
    )
    yield row(
        "a constraint with a dot in front",
        Chain([leaf(limited), limited], [ROOT]),
        V.PERMITTED_VIOLATION,
        why=why,
    )
    limited = authority("limited", ROOT, excluded=(DNS("x.a.example"),))
    why = "OpenSSL matches the pattern as if it were a name; it covers x.a.example, which is excluded"
    covers = Chain([leaf(limited, "*.a.example"), limited], [ROOT], "y.a.example")
    yield row("a wildcard that covers what is excluded", covers, V.EXCLUDED_VIOLATION, why=why)
    limited = authority("limited", ROOT, permitted=(x509.DirectoryName(x509.Name([])),))
    why = "a critical constraint of a kind that is not checked here is refused, never passed over"
    subjects = Chain([leaf(limited), limited], [ROOT])
    yield row("a constraint on subjects", subjects, V.PERMITTED_VIOLATION, why=why)
    # Strength.
    weak = Chain([leaf(ROOT, kind="rsa1024")], [ROOT])
    yield row(
        "a weak key",
        weak,
        V.EE_KEY_TOO_SMALL,
        why=WEAK_KEYS,
        says="RSA key of 1024 bits; an RSA key must have at least 2048",
    )
    frail = authority("frail", ROOT, kind="rsa1024")
    says = "issued under 'frail', which has an RSA key of 1024 bits"
    yield row(
        "a weak intermediate",
        Chain([leaf(frail), frail], [ROOT]),
        V.CA_KEY_TOO_SMALL,
        why=WEAK_KEYS,
        says=says,
    )
    frail = root("frail", kind="rsa1024")
    yield row("a weak root", Chain([leaf(frail)], [frail]), V.CA_KEY_TOO_SMALL, why=WEAK_KEYS, says=says)
    for kind in ("ed25519", "ed448"):
        top = root(kind=kind)
        yield row(
            f"a root with {kind}", Chain([leaf(top)], [top]), V.UNSUPPORTED_SIGNATURE_ALGORITHM, why=LIBRARY
        )
    # What is not understood.
    odd = Chain([leaf(ROOT, extra=UNKNOWN_CRITICAL)], [ROOT])
    yield row(
        "an unknown critical extension", odd, V.UNHANDLED_CRITICAL_EXTENSION, 34, says="critical extensions"
    )
    strange = authority("strange", ROOT, extra=UNKNOWN_CRITICAL)
    yield row(
        "the same on an authority",
        Chain([leaf(strange), strange], [ROOT]),
        V.UNHANDLED_CRITICAL_EXTENSION,
        34,
    )


ROWS = [row for make in (good, orders, names, faults) for row in make()]
by_name: Callable[[Row], str] = lambda row: row.name  # noqa: E731


def ours(chain: Chain) -> CertificateError | None:
    anchors = TrustAnchors(one.certificate for one in chain.anchors)
    try:
        verify_server([one.der for one in chain.shown], anchors, chain.name)
    except CertificateError as error:
        return error
    return None


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_our_verdict(row: Row) -> None:
    error = ours(row.chain)
    if row.ours is None:
        assert error is None
    else:
        assert error is not None
        assert error.verify_code is row.ours, error
        assert row.says in error.message
        assert str(error).startswith("certificate verify failed: ")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl program here")
@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_the_verdict_of_openssl(row: Row, tmp_path: Path) -> None:
    assert openssl(row.chain, tmp_path) in (row.openssl or (0,))


def openssl(chain: Chain, directory: Path) -> int:
    """The number of the first error that `openssl verify` has with a chain, 0 for none."""

    def write(name: str, certificates: list[Cert]) -> Path:
        path = directory / name
        path.write_bytes(b"".join(one.pem for one in certificates))
        return path

    # An anchor that has nothing to do with it, since there must be a file.
    anchors = write("anchors.pem", [*chain.anchors] or [root("nobody")])
    command = [
        "openssl",
        "verify",
        "-no-CApath",
        "-no-CAstore",
        "-purpose",
        "sslserver",
        "-CAfile",
        str(anchors),
    ]
    if len(chain.shown) > 1:
        command += ["-untrusted", str(write("shown.pem", [*chain.shown[1:]]))]
    if chain.name is not None:
        try:
            ipaddress.ip_address(chain.name)
            command += ["-verify_ip", chain.name]
        except ValueError:
            command += ["-verify_hostname", chain.name]
    path = write("leaf.pem", [chain.shown[0]])
    result = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False, timeout=30)
    if result.returncode == 0:
        return 0
    found = re.search(r"error (\d+) at", result.stdout + result.stderr)
    assert found, result.stdout + result.stderr
    return int(found.group(1))


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_every_difference_says_why(row: Row) -> None:
    differs = (row.ours is None) != (not row.openssl)
    assert bool(row.why) is differs
    assert not row.why or len(row.why) > 20


def test_there_is_a_row_for_each_reason() -> None:
    assert len(set(map(by_name, ROWS))) == len(ROWS)
    reasons = {row.ours for row in ROWS}
    assert reasons >= {
        V.CERT_HAS_EXPIRED,
        V.CERT_NOT_YET_VALID,
        V.HOSTNAME_MISMATCH,
        V.INVALID_PURPOSE,
        V.UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
        V.PERMITTED_VIOLATION,
        V.EE_KEY_TOO_SMALL,
        V.CA_KEY_TOO_SMALL,
    }
