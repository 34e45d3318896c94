# Numbers of what did not happen are left out.
"$Q35RT" -m "$TINY" --ids 5,6,7 -n 0 --ignore-eos
"$Q35RT" -m "$TINY" --ids 5 -n 1 --ignore-eos >text
