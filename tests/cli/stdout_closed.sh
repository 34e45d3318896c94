"$Q35RT" -m "$TINY" -p hello -n 8 -q --ignore-eos >/dev/full
