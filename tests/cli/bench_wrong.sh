# What a benchmark cannot do is one sentence.
try() { "$Q35RT" bench "$@" -q && echo done; echo "$?"; }
try 2>&1
try -m "$TINY" --synthetic llama3-8b 2>&1 | sed "s|$TINY|TINY|"
try --synthetic llama3-8x 2>&1
try -m "$TINY" -p 0 -n 0 2>&1
try -m "$TINY" -b 2,9 --chunk 8 2>&1
try -m "$TINY" -t 1,x 2>&1
try -m "$TINY" -o xml 2>&1
try -m "$TINY" -p 100000 -n 0 2>&1
try -m "$TINY" -p 16 -n 0 -d 1000000 2>&1
try -m "$TINY" --device nothing 2>&1 | sed 's/; .*//'
"$Q35RT" bench -m "$TINY" -p 0 -n 2 -r 1 -t 64 -o csv 2>&1 >/dev/null | sed 's/on [0-9]* core/on N core/'
