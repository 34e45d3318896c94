# Packed weights on disk: kept, listed, deleted; damaged and stale ones are told apart and packed anew.
"$Q35RT" convert "$TINY" a.gguf --no-calibration -q || exit
answer() { "$Q35RT" -m "$1" -p hello -n 4 --ignore-eos --json "${@:2}" | grep -o '"pack_cache_hit":[a-z]*'; }
packed=$HOME/.cache/q35rt/packed
# State, model and use of each file, without what depends on the machine.
list() {
    "$Q35RT" cache list --json "$@" | python3 -c '
import json, sys
for f in json.load(sys.stdin)["files"]:
    print("  " + f["state"], f["model"].rsplit("/", 1)[-1], f["device"], "in use" if f["in_use"] else "not in use", f["why"])'
}

"$Q35RT" cache list | sed 's/ in .*//'
answer a.gguf --no-cache -q
[ -e "$packed" ] && ls "$packed"
answer a.gguf -q
ls "$packed"/*.q35p >/dev/null 2>&1 || { echo "skipped: this machine packs nothing"; exit 77; }
answer a.gguf
list

echo "bit flipped, times kept"
file=$(echo "$packed"/*.q35p)
touch -r "$file" times
python3 - "$file" <<'PY'
import os, sys
with open(sys.argv[1], "r+b") as f:
    f.seek(os.path.getsize(sys.argv[1]) - 200)
    byte = f.read(1)[0] ^ 4
    f.seek(-1, 1)
    f.write(bytes([byte]))
PY
touch -r times "$file"
list
list --verify
answer a.gguf 2>&1 | sed 's#/.*/#FOLDER/#; s/[0-9a-f]\{32\}/HASH/'
list --verify

echo "cut"
truncate -s -1 "$file"
list | sed 's/[0-9]\{4,\}/N/g'
answer a.gguf -q
answer a.gguf

echo "model replaced"
cp a.gguf b.gguf
answer b.gguf
"$Q35RT" convert "$TINY" b.gguf --no-calibration -q --force --seed 2
list | sort
answer b.gguf
list | sort
rm b.gguf
list | sort

echo "left behind"
head -c 100 "$file" >"$packed/.q35rt-0123456789abcdef-1-0.tmp"
list | grep unfinished

echo "deleted"
"$Q35RT" cache clear -m c.gguf
"$Q35RT" cache clear --older 1
"$Q35RT" cache clear --json -m b.gguf | sed 's/"bytes":[0-9]*/"bytes":N/'
touch -d '3 days ago' "$packed"/*.ok
"$Q35RT" cache clear --older 4
"$Q35RT" cache clear --older 2 -m a.gguf | sed 's/ [0-9.]* MiB/ N MiB/'
"$Q35RT" cache clear | sed 's/ [0-9.]* MiB/ N MiB/'
list
find "$packed" -type f
"$Q35RT" cache purge 2>&1
echo $?
