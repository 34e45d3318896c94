"$Q35RT" run --help
