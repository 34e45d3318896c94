"$Q35RT" verify "$TINY"
