"""What a certificate says: parsing, public key, names and dates.

A peer's certificate is hostile input to a parser that reports trouble in many ways, some of them only when
a part is looked at. Here all of them become one: CertificateError with bad_certificate (RFC 9846 §6.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID, PublicKeyAlgorithmOID

from tlswrite import limits
from tlswrite.crypto.signatures import (
    MAX_RSA_BITS,
    MIN_RSA_BITS,
    PSSPublicKey,
    PublicKey,
    describe,
    schemes_for,
)
from tlswrite.errors import CertificateError, VerifyError
from tlswrite.iana import AlertDescription

__all__ = [
    "der_content",
    "der_elements",
    "is_authority",
    "load_certificate",
    "load_chain",
    "names_of",
    "peercert_dict",
    "peercert_dict_of",
    "pss_hash_of",
    "public_key",
    "public_key_of",
    "reading_certificate",
    "server_end_point",
    "subject_of",
    "text",
]


def load_certificate(der: bytes) -> x509.Certificate:
    """A certificate from its DER form; raises CertificateError."""
    with reading_certificate():
        return x509.load_der_x509_certificate(der)


def load_chain(chain: Sequence[bytes]) -> list[x509.Certificate]:
    """The certificates of a Certificate message, each in DER form, the end-entity certificate first."""
    if len(chain) > limits.MAX_CHAIN_LENGTH:
        raise CertificateError(
            f"a chain of {len(chain)} certificates; at most {limits.MAX_CHAIN_LENGTH} here",
            code=VerifyError.CERT_CHAIN_TOO_LONG,
        )
    if not chain:
        raise CertificateError("a chain without a certificate")
    certificates = [load_certificate(der) for der in chain]
    for certificate in certificates[1:]:
        _refuse_burden(certificate)
    return certificates


def public_key(der: bytes) -> PublicKey:
    """The public key of a certificate in DER form, of a kind and size that TLS 1.3 can verify with.

    Raises CertificateError: bad_certificate where the certificate cannot be read, unsupported_certificate
    where its key is of no use here.
    """
    # The few certificates that one process meets again and again are worth remembering; a hostile
    # giant is not.
    return _remembered_key(der) if len(der) <= _REMEMBERED_SIZE else public_key_of(load_certificate(der))


def public_key_of(certificate: x509.Certificate) -> PublicKey:
    """The same of a parsed certificate."""
    _refuse_burden(certificate)
    key: Any
    with reading_certificate():
        key = certificate.public_key()
        if certificate.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS:
            # RFC 9846 §4.3.3: a key under the RSASSA-PSS OID is for the rsa_pss_pss schemes only.
            key = PSSPublicKey(key, _pss_hash(certificate.tbs_certificate_bytes))
    if not schemes_for(key):
        bare = key.key if isinstance(key, PSSPublicKey) else key
        wanted = (
            f"an RSA key must have at least {MIN_RSA_BITS} bits"
            if isinstance(bare, rsa.RSAPublicKey) and bare.key_size < MIN_RSA_BITS
            else "no signature scheme of TLS 1.3 fits it"
        )
        raise CertificateError(
            f"the certificate of {subject_of(certificate)} has {describe(key)}; {wanted}",
            AlertDescription.UNSUPPORTED_CERTIFICATE,
            VerifyError.EE_KEY_TOO_SMALL if "must have" in wanted else VerifyError.UNSPECIFIED,
        )
    checked: PublicKey = key
    return checked


def server_end_point(der: bytes) -> bytes | None:
    """Channel binding data tls-server-end-point of a server's certificate (RFC 5929 §4.1).

    The hash of the certificate, with the hash of its signature but SHA-256 for MD5 and SHA-1; None where
    the signature has no hash of its own, for which RFC 5929 defines nothing. Raises CertificateError.
    """
    certificate = load_certificate(der)
    with reading_certificate():
        algorithm = certificate.signature_hash_algorithm
        if algorithm is None:
            return None
        if isinstance(algorithm, (hashes.MD5, hashes.SHA1)):
            algorithm = hashes.SHA256()
        return certificate.fingerprint(algorithm)


@contextmanager
def reading_certificate() -> Iterator[None]:
    """Turns whatever goes wrong while a peer's certificate is read into CertificateError."""
    try:
        yield
    except CertificateError:
        raise
    except Exception as error:
        # The parser's exceptions are of many classes (ValueError and its kin, UnsupportedAlgorithm, its
        # warnings where warnings are errors), and none of them is the caller's affair.
        raise CertificateError(f"a certificate that cannot be read: {text(str(error), 200)}") from None


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The DNS names and IP addresses that a certificate is for (its subjectAltName)."""
    with reading_certificate():
        try:
            alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return ()
        return (
            *alternative.get_values_for_type(x509.DNSName),
            *(str(address) for address in alternative.get_values_for_type(x509.IPAddress)),
        )


def holder_of(der: bytes) -> object:
    """Whom a certificate (DER) is for, its subject and its names, to be compared; raises CertificateError."""
    certificate = load_certificate(der)
    with reading_certificate():
        return certificate.subject, frozenset(names_of(certificate))


def subject_of(certificate: x509.Certificate) -> str:
    """The subject of a certificate for a message: its common name, else its names, else the whole."""
    with reading_certificate():
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if common:
            return repr(text(str(common[-1].value), 80))
        name = certificate.subject.rfc4514_string() or ", ".join(names_of(certificate)[:3])
        return repr(text(name, 80))


def text(untrusted: str, limit: int) -> str:
    """Text from a peer for a message: printable, and at most `limit` characters."""
    shown = untrusted if len(untrusted) <= limit else untrusted[: limit - 1] + "…"
    return "".join(c if c.isprintable() else "?" for c in shown)


# ---- getpeercert ----------------------------------------------------------------------------------


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it says that it may issue others, or is too old to say (a self-issued one of version 1)."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return certificate.version == x509.Version.v1 and certificate.issuer == certificate.subject
    except Exception:
        # Extensions that cannot be read (see `reading_certificate`) say nothing.
        return False
    return found.value.ca


def peercert_dict(der: bytes) -> dict[str, Any]:
    """A certificate in the shape of `ssl.SSLSocket.getpeercert()`; raises CertificateError."""
    return _dict_of(load_certificate(der))


def peercert_dict_of(certificate: x509.Certificate, binary_form: bool) -> dict[str, Any] | bytes:
    """The same of a certificate that was read, or its DER form, as `ssl.SSLContext.get_ca_certs` has it."""
    return certificate.public_bytes(Encoding.DER) if binary_form else _dict_of(certificate)


def _dict_of(certificate: x509.Certificate) -> dict[str, Any]:
    with reading_certificate():
        serial = f"{certificate.serial_number:X}"
        result: dict[str, Any] = {
            "subject": _name(certificate.subject),
            "issuer": _name(certificate.issuer),
            "version": certificate.version.value + 1,
            "serialNumber": serial if len(serial) % 2 == 0 else "0" + serial,
            "notBefore": _date(certificate.not_valid_before_utc),
            "notAfter": _date(certificate.not_valid_after_utc),
        }
        for extension in certificate.extensions:
            value = extension.value
            if isinstance(value, x509.SubjectAlternativeName):
                result["subjectAltName"] = tuple(_general_name(name) for name in value)
            elif isinstance(value, x509.AuthorityInformationAccess):
                result["OCSP"] = _locations(value, AuthorityInformationAccessOID.OCSP)
                result["caIssuers"] = _locations(value, AuthorityInformationAccessOID.CA_ISSUERS)
            elif isinstance(value, x509.CRLDistributionPoints):
                result["crlDistributionPoints"] = tuple(
                    name.value
                    for point in value
                    for name in point.full_name or ()
                    if isinstance(name, x509.UniformResourceIdentifier)
                )
    return {key: value for key, value in result.items() if value != () or key in ("subject", "issuer")}


_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

#: OpenSSL's long names of name attributes, where they differ from the common part of NameOID's names.
_LONG_NAMES: Final = {
    NameOID.COMMON_NAME: "commonName",
    NameOID.COUNTRY_NAME: "countryName",
    NameOID.LOCALITY_NAME: "localityName",
    NameOID.STATE_OR_PROVINCE_NAME: "stateOrProvinceName",
    NameOID.STREET_ADDRESS: "streetAddress",
    NameOID.ORGANIZATION_NAME: "organizationName",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "organizationalUnitName",
    NameOID.ORGANIZATION_IDENTIFIER: "organizationIdentifier",
    NameOID.SERIAL_NUMBER: "serialNumber",
    NameOID.SURNAME: "surname",
    NameOID.GIVEN_NAME: "givenName",
    NameOID.INITIALS: "initials",
    NameOID.TITLE: "title",
    NameOID.GENERATION_QUALIFIER: "generationQualifier",
    NameOID.X500_UNIQUE_IDENTIFIER: "x500UniqueIdentifier",
    NameOID.DN_QUALIFIER: "dnQualifier",
    NameOID.PSEUDONYM: "pseudonym",
    NameOID.USER_ID: "userId",
    NameOID.DOMAIN_COMPONENT: "domainComponent",
    NameOID.EMAIL_ADDRESS: "emailAddress",
    NameOID.JURISDICTION_COUNTRY_NAME: "jurisdictionCountryName",
    NameOID.JURISDICTION_LOCALITY_NAME: "jurisdictionLocalityName",
    NameOID.JURISDICTION_STATE_OR_PROVINCE_NAME: "jurisdictionStateOrProvinceName",
    NameOID.BUSINESS_CATEGORY: "businessCategory",
    NameOID.POSTAL_ADDRESS: "postalAddress",
    NameOID.POSTAL_CODE: "postalCode",
    NameOID.UNSTRUCTURED_NAME: "unstructuredName",
}


def _name(name: x509.Name) -> tuple[tuple[tuple[str, str], ...], ...]:
    return tuple(
        tuple(
            (
                _LONG_NAMES.get(attribute.oid, attribute.oid.dotted_string),
                attribute.value if isinstance(attribute.value, str) else attribute.value.hex(),
            )
            for attribute in rdn
        )
        for rdn in name.rdns
    )


def _date(date: datetime) -> str:
    return f"{_MONTHS[date.month - 1]} {date.day:2d} {date:%H:%M:%S} {date.year} GMT"


def _general_name(name: x509.GeneralName) -> tuple[str, Any]:
    if isinstance(name, x509.DNSName):
        return "DNS", name.value
    if isinstance(name, x509.IPAddress):
        address = name.value
        if address.version == 4:
            return "IP Address", str(address)
        groups = address.packed  # type: ignore[union-attr]  # networks are in name constraints alone
        return "IP Address", ":".join(
            f"{int.from_bytes(groups[i : i + 2], 'big'):X}" for i in range(0, 16, 2)
        )
    if isinstance(name, x509.RFC822Name):
        return "email", name.value
    if isinstance(name, x509.UniformResourceIdentifier):
        return "URI", name.value
    if isinstance(name, x509.DirectoryName):
        return "DirName", _name(name.value)
    if isinstance(name, x509.RegisteredID):
        return "Registered ID", name.value.dotted_string
    return "othername", "<unsupported>"


def _locations(access: x509.AuthorityInformationAccess, method: x509.ObjectIdentifier) -> tuple[str, ...]:
    return tuple(
        description.access_location.value
        for description in access
        if description.access_method == method
        and isinstance(description.access_location, x509.UniformResourceIdentifier)
    )


# ---- public keys ----------------------------------------------------------------------------------

_REMEMBERED_SIZE: Final = 8192

#: Bits of an RSA public exponent: 17 in nearly every key there is.
_MAX_RSA_EXPONENT: Final = 64


def _refuse_burden(certificate: x509.Certificate) -> None:
    """Refuses a key whose signatures would be slow to check.

    A path is sought by trying issuers, many times over where a peer wants it so: each try must be cheap.
    """
    try:
        key = certificate.public_key()
    except Exception:
        return  # Nothing is verified with a key that cannot be read.
    if isinstance(key, rsa.RSAPublicKey) and _is_burden(key):
        raise CertificateError(
            f"the certificate of {subject_of(certificate)} has {describe(key)} and an exponent of "
            f"{key.public_numbers().e.bit_length()}; at most {MAX_RSA_BITS} and {_MAX_RSA_EXPONENT} here",
            AlertDescription.UNSUPPORTED_CERTIFICATE,
        )


def _is_burden(key: rsa.RSAPublicKey) -> bool:
    return key.key_size > MAX_RSA_BITS or key.public_numbers().e.bit_length() > _MAX_RSA_EXPONENT


@lru_cache(maxsize=64)
def _remembered_key(der: bytes) -> PublicKey:
    return public_key_of(load_certificate(der))


#: Hashes by the DER of their object identifier (RFC 4055 §2.1).
_HASHES: Final = {
    bytes.fromhex("608648016503040201"): "sha256",
    bytes.fromhex("608648016503040202"): "sha384",
    bytes.fromhex("608648016503040203"): "sha512",
}


def _pss_hash(tbs: bytes) -> str | None:
    """The hash that the parameters of a key under the RSASSA-PSS OID fix (RFC 4055 §3.1), else None.

    `cryptography` parses these parameters and does not show them. The certificate is well-formed here.
    """
    fields = der_elements(der_content(tbs))
    # TBSCertificate: [0] version, serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo.
    position = 6 if fields[0][0] == 0xA0 else 5
    return pss_hash_of(der_elements(fields[position][1])[0][1])


def pss_hash_of(algorithm: bytes) -> str | None:
    """The hash of an AlgorithmIdentifier's content under the RSASSA-PSS OID; None without parameters.

    The name is no hash's where it is none of SHA-2's and not SHA-1.
    """
    parts = der_elements(algorithm)
    if len(parts) == 1:
        return None
    for tag, content in der_elements(parts[1][1]):
        if tag == 0xA0:  # hashAlgorithm [0] HashAlgorithm DEFAULT sha1
            return _HASHES.get(der_elements(der_content(content))[0][1], "another hash")
    return "sha1"


def der_content(der: bytes) -> bytes:
    """The content of the first DER element, of DER that was found well-formed before."""
    return der_elements(der)[0][1]


def der_elements(der: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of each element of a DER SEQUENCE's content, which was found well-formed before."""
    elements = []
    position = 0
    while position < len(der):
        tag, length = der[position], der[position + 1]
        position += 2
        if length >= 0x80:
            octets = length & 0x7F
            length = int.from_bytes(der[position : position + octets], "big")
            position += octets
        elements.append((tag, der[position : position + length]))
        position += length
    return elements
