# A file that the program writes never takes the place of a closed standard stream: progress would land in it.
"$Q35RT" convert "$TINY" usual.gguf --no-calibration -q || exit
for closed in '2>&-' '>&-' '<&-' '<&- >&- 2>&-'; do
    eval '"$Q35RT" convert "$TINY" out.gguf --no-calibration --force' "$closed" 2>progress
    echo "$closed: $?"
    cmp usual.gguf out.gguf
done
