"$Q35RT" plan -m "$TINY" --tokens 9 -c 8
