"$Q35RT" convret a b
