# Less tokens than a linear has inputs: said, and converted.
"$MAKE_TINY" wide.gguf --hidden 64 --ffn 2048 || exit
for i in $(seq 60); do echo "line $i of a short text"; done >text
"$Q35RT" convert wide.gguf out.gguf --calibration text 2>said
echo "exit code $?"
grep -o 'calibration: .*' said | head -n 1
