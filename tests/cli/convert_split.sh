"$Q35RT" convert "$TINY" s.gguf --codec split --no-calibration -q || exit
"$Q35RT" inspect -q s.gguf | grep '^bits per weight' | cut -c1-34
"$Q35RT" verify -q s.gguf --against "$TINY"
