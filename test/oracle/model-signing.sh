#!/bin/sh
# Signatures in both directions between vene and OpenSSF's model_signing, and the fixtures test/fixtures/model-signing.
#
#     npm run build && sh test/oracle/model-signing.sh OUT
#
# Needs `pip install model-signing==1.1.1 pyopenssl` and openssl; not part of `npm test`.
set -eu
out=$1
here=$(dirname "$0")
demo="$here/../../examples/truthful-tiny/honest"
vene() { VENE_CONFIG="$out/config" node "$here/../../dist/cli/main.js" "$@"; }

mkdir -p "$out"

# vene signs, model_signing verifies.
cp -r "$demo" "$out/by-vene"
vene keys new oracle
vene sign "$out/by-vene" --key oracle
model_signing verify key "$out/by-vene" --public_key "$out/config/keys/oracle.pub" --signature "$out/by-vene/model.sig"

# What was changed afterwards it refuses.
cp -r "$out/by-vene" "$out/changed"
echo >> "$out/changed/README.md"
if model_signing verify key "$out/changed" --public_key "$out/config/keys/oracle.pub" --signature "$out/changed/model.sig"; then
  exit 1
fi

# model_signing signs, vene verifies: this is the fixture.
mkdir "$out/fixture"
cp -r "$demo" "$out/fixture/honest"
openssl ecparam -name prime256v1 -genkey -noout -out "$out/key.pem"
openssl ec -in "$out/key.pem" -pubout -out "$out/fixture/key.pub"
model_signing sign key "$out/fixture/honest" --private_key "$out/key.pem" --signature "$out/fixture/honest/model.sig"
vene verify "$out/fixture/honest" --signature require --key "$out/fixture/key.pub"
