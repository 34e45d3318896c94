"$Q35RT" -p hello
