# The text of ids, exactly: from arguments, --ids, a file or standard input, and bytes that are no text, too.
for i in 104,101,108 "104 101 108"; do
    "$Q35RT" detokenize -m "$TINY" --ids "$i" && echo
done
"$Q35RT" detokenize -m "$TINY" 104 101,108 && echo
printf '104\n101\n108\n' >ids.txt
"$Q35RT" detokenize -m "$TINY" -f ids.txt && echo
"$Q35RT" detokenize -m "$TINY" @ids.txt && echo
"$Q35RT" detokenize -m "$TINY" --ids @ids.txt && echo
"$Q35RT" detokenize -m "$TINY" <ids.txt && echo
printf '' | "$Q35RT" detokenize -m "$TINY"
head -c 5000 "$TINY" >bytes
"$Q35RT" tokenize -m "$TINY" -f bytes >ids.txt
"$Q35RT" detokenize -m "$TINY" <ids.txt | cmp - bytes && echo same
