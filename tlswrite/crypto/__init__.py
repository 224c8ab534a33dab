"""Primitives, keys and certificates: the only package that imports `cryptography`, `hashlib` and `hmac`.

suites        cipher suites: hash, AEAD, lengths, usage limits
backend       what this build of `cryptography` has
aead          record protection primitives by suite
kdf           HKDF, HMAC and transcript hashes
groups        key exchange: ECDH, X25519, and their hybrids with ML-KEM
signatures    CertificateVerify: signing, verification, which scheme fits which key
x509          chains, trust anchors, credentials, what a certificate says
selfsigned    certificates made on the spot, for demos, benchmarks and tests
"""
