"""Trust anchors: where they come from, and how long a verified chain is remembered."""

from __future__ import annotations

import gc
import shutil
import ssl
import subprocess
import sys
import threading
import weakref
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tlswrite.crypto import trust
from tlswrite.crypto.selfsigned import make_certificate
from tlswrite.crypto.trust import TrustAnchors
from tlswrite.errors import ConfigurationError

A = make_certificate([], common_name="A", is_ca=True)
B = make_certificate([], common_name="B", is_ca=True)
BROKEN = A.certificate_pem.replace(b"MII", b"MIX")
NOW = datetime.now(UTC)


def commons(anchors: TrustAnchors) -> list[str]:
    return sorted(certificate.subject.rfc4514_string() for certificate in anchors.certificates)


# ---- where they come from ---------------------------------------------------------------------------


def test_from_pem() -> None:
    assert commons(TrustAnchors.from_pem(A.certificate_pem + B.certificate_pem)) == ["CN=A", "CN=B"]
    assert commons(TrustAnchors.from_pem((b"text\n" + A.certificate_pem).decode())) == ["CN=A"]
    assert repr(TrustAnchors.from_pem(A.certificate_pem * 2)) == "<TrustAnchors: 1 certificates>"


def test_from_file(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(A.certificate_pem)
    assert commons(TrustAnchors.from_file(file)) == commons(TrustAnchors.from_file(str(file))) == ["CN=A"]
    with pytest.raises(FileNotFoundError):
        TrustAnchors.from_file(tmp_path / "missing.pem")


def test_what_is_given_must_be_right(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no certificate in the PEM text"):
        TrustAnchors.from_pem(A.key_pem)
    file = tmp_path / "ca.pem"
    file.write_bytes(B.certificate_pem + BROKEN)
    with pytest.raises(ConfigurationError, match=r"certificate 2 of .*ca\.pem cannot be read"):
        TrustAnchors.from_file(file)


def test_from_directory(tmp_path: Path) -> None:
    """As `openssl rehash` leaves it: names that are hashes count, others do not."""
    (tmp_path / "01234567.0").write_bytes(A.certificate_pem)
    (tmp_path / "01234567.1").write_bytes(BROKEN + B.certificate_pem)
    (tmp_path / "89abcdef.0").write_bytes(b"nothing")
    (tmp_path / "89abcdef.1").symlink_to(tmp_path / "missing")
    (tmp_path / "other.pem").write_bytes(make_certificate([], is_ca=True).certificate_pem)
    (tmp_path / "01234567.r0").write_bytes(b"a list of revoked certificates")
    assert commons(TrustAnchors.from_directory(tmp_path)) == ["CN=A", "CN=B"]


def test_system_takes_what_ssl_takes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file, directory = tmp_path / "bundle.pem", tmp_path / "hashed"
    file.write_bytes(BROKEN + A.certificate_pem)
    directory.mkdir()
    (directory / "01234567.0").write_bytes(B.certificate_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setenv("SSL_CERT_DIR", str(directory))
    anchors = TrustAnchors.system()
    assert commons(anchors) == ["CN=A", "CN=B"]
    assert TrustAnchors.system() is anchors, "read once"
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nowhere"))
    assert commons(TrustAnchors.system()) == ["CN=A"]


def test_system_without_any(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nowhere"))
    anchors = TrustAnchors.system()
    assert anchors.certificates == ()
    assert anchors, "no anchors are not the same as anchors not given"


def test_system_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "01234567.0").write_bytes(A.certificate_pem)
    loop = tmp_path / "89abcdef.0"
    loop.mkdir()  # reading it is an OSError, whoever reads
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert commons(TrustAnchors.system()) == ["CN=A"]


def test_the_systems_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as `ssl` finds, where there is a bundle; a strange certificate in it warns nobody."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    paths = ssl.get_default_verify_paths()
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    if paths.cafile is None and bundle.exists():
        monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    theirs = set(context.get_ca_certs(binary_form=True))
    ours = {certificate.public_bytes(Encoding.DER) for certificate in TrustAnchors.system().certificates}
    assert theirs <= ours


def test_subjects() -> None:
    # RFC 9846 §4.3.4: distinguished names in DER form.
    subjects = TrustAnchors.from_pem(A.certificate_pem + B.certificate_pem).subjects
    assert subjects == (A.certificate.subject.public_bytes(), B.certificate.subject.public_bytes())
    assert subjects[0][0] == 0x30
    anchors = A.anchors()
    assert anchors.subjects is anchors.subjects, "encoded once"


def test_nothing_is_read_at_import() -> None:
    code = (
        "import builtins, io, os, sys\n"
        "import tlswrite.crypto.x509\n"
        "from tlswrite.crypto import trust\n"
        "assert trust._system.cache_info().currsize == 0\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_directory_made_by_openssl_rehash(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_bytes(A.certificate_pem)
    (tmp_path / "b.pem").write_bytes(B.certificate_pem)
    subprocess.run(["openssl", "rehash", str(tmp_path)], check=True)
    assert commons(TrustAnchors.from_directory(tmp_path)) == ["CN=A", "CN=B"]


# ---- what was verified ------------------------------------------------------------------------------


def test_a_chain_is_remembered_within_its_dates() -> None:
    anchors = A.anchors()
    short = make_certificate(["a.example"], issuer=A, not_after=NOW + timedelta(days=1)).certificate
    assert anchors.recall("key", NOW) is None
    anchors.remember("key", (short, A.certificate))
    assert anchors.recall("key", NOW) == (short, A.certificate)
    assert anchors.recall("other", NOW) is None
    # The shortest of the chain counts, at both ends.
    assert anchors.recall("key", NOW + timedelta(days=2)) is None
    assert anchors.recall("key", NOW - timedelta(days=2)) is None


def test_few_chains_are_remembered() -> None:
    anchors = A.anchors()
    for number in range(100):
        anchors.remember(number, (A.certificate,))
    assert len(anchors._verified) == trust._REMEMBERED
    assert anchors.recall(99, NOW) is not None
    assert anchors.recall(0, NOW) is None


def test_a_chain_remembered_again_takes_no_second_place() -> None:
    anchors = A.anchors()
    for number in range(trust._REMEMBERED):
        anchors.remember(number, (A.certificate,))
    anchors.remember(5, (A.certificate,))
    assert anchors.recall(0, NOW) is not None


def test_threads_may_share_them() -> None:
    anchors = A.anchors()
    failures: list[BaseException] = []

    def work(start: int) -> None:
        try:
            for number in range(2000):
                anchors.remember((start, number), (A.certificate,))
                anchors.recall((start, number), NOW)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(anchors._verified) == trust._REMEMBERED


def test_they_are_freed_by_reference_counting() -> None:
    anchors = TrustAnchors((A.certificate,))
    anchors.remember("key", (A.certificate,))
    gone = weakref.ref(anchors)
    gc.disable()
    try:
        del anchors
        assert gone() is None
    finally:
        gc.enable()


def test_equal_certificates_count_once() -> None:
    again = x509.load_pem_x509_certificate(A.certificate_pem)
    assert len(TrustAnchors((A.certificate, again)).certificates) == 1


def test_strict_anchors_are_made_once() -> None:
    anchors = TrustAnchors.from_pem(A.certificate_pem)
    strict = anchors.strictly
    assert not anchors.strict and strict.strict
    assert strict.certificates == anchors.certificates
    assert anchors.strictly is strict and strict.strictly is strict
