: >empty.gguf
"$Q35RT" -m empty.gguf -p hello
