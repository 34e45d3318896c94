mkdir folder.gguf
"$Q35RT" -m folder.gguf -p hello
