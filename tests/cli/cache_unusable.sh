# Caches that cannot be used: a sentence, and the same text as with one.
"$Q35RT" convert "$TINY" a.gguf --no-calibration -q || exit
answer() { "$Q35RT" -m a.gguf -p hello -n 4 --ignore-eos --json "$@" 2>err | grep -o '"ids":[^]]*'; }
answer >good
ls "$HOME"/.cache/q35rt/packed/*.q35p >/dev/null 2>&1 || { echo "skipped: this machine packs nothing"; exit 77; }
check() {
    echo "$1"
    answer | cmp - good
    sed "s#$root#ROOT#g; s#[0-9a-f]\{32\}#HASH#g; s#bytes at offset [0-9]*#bytes at offset N#; s#write of [0-9]*#write of N#" err
}
root=$(dirname "$PWD")
echo x >file
XDG_CACHE_HOME=$PWD/file check "a file in the way"
XDG_CACHE_HOME=/dev/null check "not a folder"
XDG_CACHE_HOME=/proc/nothing check "no folder can be made"
XDG_CACHE_HOME=relative check "relative: HOME is used"
HOME=$PWD/new XDG_CACHE_HOME='' check "missing: made"
XDG_CACHE_HOME=$PWD/full
export XDG_CACHE_HOME
(
    ulimit -f 8
    check "disk full"
)
unset XDG_CACHE_HOME HOME
check "no home"
answer -q | cmp - good
cat err
"$Q35RT" cache list 2>&1
echo $?
