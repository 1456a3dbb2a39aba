#!/bin/sh
# deliver.sh RECIPIENT   puts the message on standard input into mail/RECIPIENT, whole or not at all
#
# Without an argument the environment says whose copy it is, as Exim's pipe has it.
set -e
cd "${0%/*}/mail"
rcpt=${1:-$LOCAL_PART@$DOMAIN}
mkdir -p "$rcpt"
file=$(mktemp "$rcpt/XXXXXXXX")
cat >"$file.part"
mv "$file.part" "$file"
