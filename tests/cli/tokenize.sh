# Ids on one line, from an argument, -p, a file or standard input; --pieces and --json say what each token is.
"$Q35RT" tokenize -m "$TINY" "hello world"
"$Q35RT" tokenize -m "$TINY" -p "hello world"
printf 'hello world' >text.txt
"$Q35RT" tokenize -m "$TINY" --ids -f text.txt
"$Q35RT" tokenize -m "$TINY" <text.txt
"$Q35RT" tokenize -m "$TINY" ""
printf 'the \t\\\n\303\251\033' | "$Q35RT" tokenize -m "$TINY" --pieces
"$Q35RT" tokenize -m "$TINY" --json "hello\\"
"$Q35RT" tokenize -m "$TINY" -- -p
