"$Q35RT" -m "$TINY" -c 16 -p "a prompt of more than sixteen tokens, since the tiny model splits text into bytes"
