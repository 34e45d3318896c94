# Targets that cannot be met and rules that match nothing: what is there instead, and no file.
"$Q35RT" convert "$TINY" out.gguf --target-bpw 2 --linears -q
echo "exit code $?"
"$Q35RT" convert "$TINY" out.gguf --target-bpw 2 -q
echo "exit code $?"
"$Q35RT" convert "$TINY" out.gguf --keep attn_z -q
echo "exit code $?"
"$Q35RT" convert "$TINY" out.gguf --only 'blk\.(0' -q
echo "exit code $?"
"$Q35RT" convert "$TINY" out.gguf --linears
echo "exit code $?"
"$Q35RT" convert "$TINY" out.gguf --plot x.svg
echo "exit code $?"
"$Q35RT" convert "$TINY" out.gguf --fast --target-bpw 4
echo "exit code $?"
ls -A
