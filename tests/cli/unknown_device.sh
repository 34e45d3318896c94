"$Q35RT" -m "$TINY" -p hello --device warp
