"""Primitives, keys and certificates: the only package that imports `cryptography`, `hashlib` and `hmac`.

backend       what this build of `cryptography` has
suites        cipher suites: hash, AEAD, lengths, usage limits
aead          record protection primitives by suite
kdf           HKDF, HMAC and transcript hashes
groups        key exchange: ECDH, X25519, and their hybrids with ML-KEM
signatures    CertificateVerify: signing, verification, which scheme fits which key
certificates  what a certificate says: key, names, dates; getpeercert
chain_schemes the signature schemes of a chain
credentials   a chain of our own and its private key
identity      whom a client means to reach
trust         trust anchors and the profile of verification
explain       why a chain did not verify, in words
x509          the face of the five above: verification of peers' chains
selfsigned    certificates made on the spot, for demos, benchmarks and tests
"""
