# More than any disk has: refused before anything is written, with what is needed and what is there.
"$Q35RT" generate-model llama3-70b huge.gguf --layers 1024 --hidden 1048576 --ffn 1048576 -q
code=$?
"$Q35RT" generate-model llama3-70b huge --layers 1024 --hidden 1048576 --ffn 1048576 -q --layout hf
ls -A
exit $code
