#!/bin/sh
# certificates.sh FOLDER NAME...: certificates for tests, never for anything else: their keys have no password, the
# authority's key lies beside them, and they end after a week. It makes FOLDER/ca.pem, and NAME.pem with NAME.key for each
# host; a NAME is what the others connect to: a host's name, or an IP address.
set -eu
folder=$1
shift
mkdir -p "$folder"
cd "$folder"
if [ ! -e ca.pem ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 7 -subj "/CN=authority for tests" \
        -addext basicConstraints=critical,CA:TRUE -keyout ca.key -out ca.pem 2>/dev/null
fi
for name in "$@"; do
    case $name in
    *[!0-9.]*) kind=DNS ;;
    *) kind=IP ;;
    esac
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" -keyout "$name.key" \
        -out "$name.csr" 2>/dev/null
    printf 'subjectAltName=%s:%s\nbasicConstraints=CA:FALSE\n' "$kind" "$name" >"$name.ext"
    openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 7 -extfile "$name.ext" \
        -out "$name.pem" 2>/dev/null
    rm "$name.csr" "$name.ext"
done
