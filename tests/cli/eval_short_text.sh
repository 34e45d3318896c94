echo short >text
"$Q35RT" eval -m "$TINY" -f text
