"$Q35RT" --version
