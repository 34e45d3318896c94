: >empty
"$Q35RT" -m "$TINY" -f empty
