# A file size limit stands for a full disk: an error, and nothing left, in every layout.
ulimit -f 64
for layout in gguf hf mistral; do
    "$Q35RT" generate-model smollm2-135m out --layers 1 --layout $layout -q
    echo "$layout: $?"
done
ls -A
