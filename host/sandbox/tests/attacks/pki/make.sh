#!/bin/sh
# Makes the certificates that the loopback server of these tests shows: an
# authority that only the tests trust, and one certificate for all of its names.
# They are in the repository, so that tests need no OpenSSL; run this to make
# them anew.
set -eu
cd "$(dirname "$0")"
days=36500
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days $days \
  -subj "/CN=Faultline tests" -keyout authority.key -out authority.pem \
  -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign"
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
  -subj "/CN=api.test" -keyout server.key -out server.csr
cat > server.ext <<END
basicConstraints=CA:FALSE
extendedKeyUsage=serverAuth
subjectAltName=DNS:api.test,DNS:*.api.test,DNS:other.test,DNS:evil.test,IP:10.0.0.5
END
openssl x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial \
  -days $days -extfile server.ext -out server.pem
rm -f server.csr server.ext authority.srl authority.key
