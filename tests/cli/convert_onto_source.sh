# The source is never the output, whatever its name and with --force.
cp "$TINY" model.gguf
ln -s model.gguf link.gguf
"$Q35RT" convert model.gguf model.gguf --no-calibration -q --force
echo "$?"
"$Q35RT" convert model.gguf link.gguf --no-calibration -q --force
echo "$?"
cmp "$TINY" model.gguf && ls
