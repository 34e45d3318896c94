# A file size limit stands for a full disk: an error, and no file.
for i in $(seq 60); do echo "line $i of a text that is scored"; done >text
ulimit -f 8
"$Q35RT" eval -m "$TINY" -f text --ctx 64 --save-base base -q
code=$?
ls
exit $code
