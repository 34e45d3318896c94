"$Q35RT" --tmep 1
