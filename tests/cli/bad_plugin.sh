head -c 5000 /dev/zero >zeros.so
"$Q35RT" -m "$TINY" -p hello --plugin ./zeros.so
