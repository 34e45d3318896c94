"$Q35RT" -m "$TINY" --ids 5,6,7 -n -1 -c 32 --ignore-eos >text
