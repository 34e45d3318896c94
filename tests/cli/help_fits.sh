# Every --help fits a screen of 24 lines of 80 columns; --help-all lists at least as much.
for command in run chat eval compare convert inspect verify plan generate-model devices tokenize detokenize; do
    "$Q35RT" $command --help >short
    "$Q35RT" $command --help-all >all
    [ "$(wc -l <short)" -le 24 ] || echo "$command: $(wc -l <short) lines"
    awk -v c=$command 'length > 80 { print c ": " length " columns: " $0 }' short all
    [ "$(wc -l <all)" -ge "$(wc -l <short)" ] || echo "$command: --help-all is shorter"
done
"$Q35RT" --help | awk 'length > 104 { print "program: " $0 }'
