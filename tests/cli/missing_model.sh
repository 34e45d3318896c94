"$Q35RT" -m nowhere.gguf -p hello
