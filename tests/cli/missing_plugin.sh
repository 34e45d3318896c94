"$Q35RT" -m "$TINY" -p hello --plugin nowhere.so
