"$Q35RT" tokenize --help
