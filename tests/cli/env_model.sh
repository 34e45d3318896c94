Q35RT_MODEL=$TINY "$Q35RT" -p hello -n 2 -q --ignore-eos >text && echo found
