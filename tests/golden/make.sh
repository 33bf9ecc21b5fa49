#!/usr/bin/env bash
# make.sh HASHBENCH FORMAT: the folder format-FORMAT, by a hashbench that writes it. Run from here.
set -u
hashbench=$1 format=format-$2 work=$(mktemp -d)
cp golden.toml tiny.py broken.py "$work"
here=$PWD
cd "$work" || exit 1
"$hashbench" run golden.toml                               # one cell fails: exit code 1
"$hashbench" run golden.toml --eps 0.05 --attack noise --attack pgd-hamming:steps=10
"$hashbench" run golden.toml --defense atrdh --attack noise --attack hag:steps=2 \
    --attack pgd-hamming:steps=10 --attack ranked-search:queries=8
"$hashbench" model export results --defense atrdh --licence CC0-1.0 --to model
python3 "$here/prune.py" results
"$hashbench" report results --format csv --output report.csv
"$hashbench" report results --output report.txt
rm -rf "${here:?}/$format"
mkdir "$here/$format"
cp -r results model report.csv report.txt "$here/$format"
python3 -c 'import json; card = json.load(open("model/card.json"))
print(json.dumps({"hash": card["protocol"], "protocol": card["protocol_card"]}, indent=2))' \
    > "$here/$format/protocol.json"
