# Any text of a window or more calibrates, and changes the file.
for i in $(seq 120); do echo "line $i of a text that only has to be long enough"; done >text
"$Q35RT" convert "$TINY" plain.gguf --no-calibration -q || exit
"$Q35RT" convert "$TINY" a.gguf --calibration text -q || exit
"$Q35RT" convert "$TINY" b.gguf --calibration text -q -t 1 || exit
cmp a.gguf b.gguf && echo identical
cmp -s a.gguf plain.gguf || echo changed
"$Q35RT" verify -q a.gguf --against "$TINY"
