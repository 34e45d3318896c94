"$Q35RT" -m "$TINY" -p ""
