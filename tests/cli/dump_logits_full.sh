# A file size limit stands for a full disk: an error, and no file.
ulimit -f 1
"$Q35RT" -m "$TINY" --ids 5,6,7 -n 0 -q --dump-logits out
code=$?
ls
exit $code
