"$Q35RT" inspect "$TINY"
