# The program's own help, whichever way it is asked for.
"$Q35RT" --help >a
"$Q35RT" -h >b
"$Q35RT" help >c
cmp a b && cmp a c && cat a
