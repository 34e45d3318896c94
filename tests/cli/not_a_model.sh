echo "this is a text, not a model" >text.gguf
"$Q35RT" -m text.gguf -p hello
