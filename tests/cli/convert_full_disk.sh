# A file size limit stands for a full disk: an error, and no file.
ulimit -f 8
"$Q35RT" convert "$TINY" out.gguf --no-calibration -q
code=$?
ls -A
exit $code
