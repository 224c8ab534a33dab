#!/bin/sh
# Responses by OpenSSL, of forms that the tests' own builder does not make: signatures by RSASSA-PSS, answers
# about three certificates in one response, and SHA-1 in the signature of a response and of a responder's own
# certificate. They end in 2126. The keys are thrown away. Usage: make.sh, in this directory.
set -eu
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
subject() {
    openssl req -new -newkey "${2:-rsa}" -pkeyopt rsa_keygen_bits:2048 -nodes -keyout "$work/$1.key" -subj "/CN=$1" \
        -out "$work/$1.csr"
}
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/root.key" -subj "/CN=OCSP vectors" -days 36500 -out root.pem
for name in one two three; do
    subject "$name.example"
    openssl x509 -req -in "$work/$name.example.csr" -CA root.pem -CAkey "$work/root.key" -days 36500 \
        -out "$work/$name.pem" -extfile /dev/null
done
cp "$work/one.pem" good.pem
cp "$work/two.pem" revoked.pem
line() {
    serial=$(openssl x509 -in "$1" -noout -serial | cut -d= -f2)
    printf '%s\t491231235959Z\t%s\t%s\tunknown\t/CN=%s\n' "$2" "$3" "$serial" "$serial"
}
{ line "$work/one.pem" V ''; line "$work/two.pem" R 240102030405Z; line "$work/three.pem" V ''; } > "$work/index"
answer() {
    out=$1
    signer=$2
    key=$3
    shift 3
    openssl ocsp -index "$work/index" -rsigner "$signer" -rkey "$work/$key.key" -CA root.pem -issuer root.pem \
        -ndays 36500 -no_nonce -respout "$out" "$@"
}
subject responder.example
echo extendedKeyUsage=OCSPSigning > "$work/usage"
openssl x509 -req -sha1 -in "$work/responder.example.csr" -CA root.pem -CAkey "$work/root.key" -days 36500 \
    -out "$work/responder.pem" -extfile "$work/usage"
answer sha1.der root.pem root -rmd sha1 -cert "$work/one.pem"
answer delegated.der "$work/responder.pem" responder.example -rmd sha256 -cert "$work/one.pem"
subject pss.example rsa-pss
openssl x509 -req -in "$work/pss.example.csr" -CA root.pem -CAkey "$work/root.key" -days 36500 \
    -out "$work/pss.pem" -extfile "$work/usage"
answer pss_key.der "$work/pss.pem" pss.example -rmd sha256 -cert "$work/one.pem"
answer pss.der root.pem root -resp_no_certs -rsigopt rsa_padding_mode:pss -rmd sha384 -cert "$work/one.pem"
answer many.der root.pem root -resp_no_certs -rmd sha256 -cert "$work/three.pem" -cert "$work/one.pem" -cert "$work/two.pem"
