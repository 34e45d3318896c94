"$Q35RT" -m "$TINY" -f nowhere.txt
