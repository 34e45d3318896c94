"$Q35RT" -m "$TINY" --ids 5,6,7 -n 0 -q --dump-logits nowhere/file
code=$?
ls
exit $code
