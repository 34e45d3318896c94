"$Q35RT" detokenize --help
