# Everything a stored base can be that does not fit: one sentence and exit code 3 (2 where the command is wrong).
for i in $(seq 60); do echo "line $i of a text that is scored"; done >text
for i in $(seq 60); do echo "row $i of another text"; done >other
"$Q35RT" eval -m "$TINY" -f text --ctx 64 --windows 2 --save-base base -q >/dev/null
"$MAKE_TINY" vocab.gguf --vocab 700
"$MAKE_TINY" layers.gguf --layers 3
try() {
    "$Q35RT" eval -m "$TINY" -q "$@"
    echo "exit code $?"
}
try --base base -f other
try --base base -f text --ctx 32
try --base base --windows 3
try -m vocab.gguf --base base
try -m layers.gguf --base base
try --base base --base-act f32
try --base base -f text --save-base more
try --base base --save-base base
head -c 3000 base >cut && try --base cut
head -c 100 base >cut && try --base cut
head -c 7 base >cut && try --base cut
cat base text >longer && try --base longer
damage() { # <offset>
    cp base damaged
    printf '\x5a' | dd of=damaged bs=1 seek="$1" conv=notrunc status=none
    try --base damaged
}
damage 0
damage 8
damage 100
damage 300
damage 2000
damage $(($(stat -c %s base) - 10))
cp text keep
try -f text --ctx 64 --save-base text
cmp text keep && echo kept
try -f text --ctx 64 --save-base nowhere/base
try -f text --ctx 7
