# A file that a running program has mapped can be deleted: the program goes on, and what that frees is said.
"$Q35RT" convert "$TINY" a.gguf --no-calibration -q || exit
mkfifo lines
"$Q35RT" chat -m a.gguf -n 3 -q <lines >out 2>/dev/null &
exec 3>lines
echo hello >&3
for _ in $(seq 600); do [ -s out ] && break; sleep 0.1; done
ls "$HOME"/.cache/q35rt/packed/*.q35p >/dev/null 2>&1 || { echo "skipped: this machine packs nothing"; exec 3>&-; wait; exit 77; }
"$Q35RT" cache list | sed -n 's/.*verified, in use$/in use/p'
"$Q35RT" cache clear | sed 's/ [0-9.]* MiB/ N MiB/; s/^[0-9.]* MiB/N MiB/'
"$Q35RT" cache list | sed 's/ in .*//'
echo again >&3
exec 3>&-
wait $!
echo "chat ended with $?"
