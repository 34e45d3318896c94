# A bound of memory: sizes that are none, one that is too small, and the same file with what is needed and with plenty.
for i in $(seq 400); do echo "line $i of a text that only has to be long enough"; done >text
for size in 0 12Q -5 1K; do
    "$Q35RT" convert "$TINY" out.gguf --calibration text --memory $size -q 2>said
    echo "$size: exit code $?"
    sed 's/least [0-9]* MiB/least N MiB/' said
done
need=$(sed -n 's/.*least \([0-9]*\) MiB$/\1/p' said)
"$Q35RT" convert "$TINY" out.gguf --no-calibration --memory 1K -q 2>said
echo "exit code $?"
ls -A
"$Q35RT" convert "$TINY" a.gguf --calibration text --memory $((need + 1))M 2>said || exit
sed -n '1s/most [0-9]* MiB/most N MiB/p' said
"$Q35RT" convert "$TINY" b.gguf --calibration text --memory 20G --json -q | grep -o '"[a-z_]*peak_bytes":' || exit
cmp a.gguf b.gguf && echo identical
