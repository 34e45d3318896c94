# Context full: the oldest turns go, the system message stays; a message that does not fit is refused with its size and
# the chat goes on. Exit code of the refused line.
word=$(printf 'hello %.0s' {1..40})
"$Q35RT" chat -m "$TINY" -c 256 -n 4 --ignore-eos --system "stay" 2>log >text <<E2
one
two $word
three $word
four
$word $word $word $word $word $word $word
five
/stats
/save out.json
E2
echo $?
sed 's/([0-9]* tokens)/(N tokens)/; s/[0-9]* tokens found/N tokens found/; /^last turn/d; s/: [0-9]* tokens of/: N tokens of/' log
python3 - <<'PY'
import json, re
log = open("log").read()
talk = json.load(open("out.json"))["messages"]
print([m["role"] for m in talk], talk[0]["content"], talk[1]["content"][:5], talk[-2]["content"])
found = int(re.search(r"(\d+) tokens found", log).group(1))
dropped = [int(n) for n in re.findall(r"\((\d+) tokens\)", log)]
held = int(re.search(r"conversation: (\d+) tokens of", log).group(1))
print(found > 256, all(0 < n < 256 for n in dropped), held <= 256)
PY
