# A conversation from a file, in one go or from standard input; what is wrong with one is said.
cat >chat.json <<'J'
{"messages": [{"role": "system", "content": "be brief"},
              {"role": "user", "content": [{"type": "text", "text": "one"}]},
              {"role": "assistant", "content": "two"},
              {"role": "user", "content": "three"}]}
J
"$Q35RT" run -m "$TINY" -n 4 -s 1 --temp 1 --ignore-eos --messages chat.json >first.txt 2>/dev/null
"$Q35RT" run -m "$TINY" -n 4 -s 1 --temp 1 --ignore-eos --messages - <chat.json >second.txt 2>/dev/null
test -s first.txt && cmp first.txt second.txt && echo same
try() {
    printf '%s' "$1" >wrong.json
    "$Q35RT" run -m "$TINY" -n 1 --messages wrong.json 2>&1
    echo "$?"
}
try '{"messages": ['
try '{"messages": []}'
try '[1]'
try '{"messages": [{"role": "user", "content": 3}]}'
try '{"messages": [{"role": "user", "content": [{"type": "image"}]}]}'
try '{"messages": [{"content": "a"}]}'
try '{"messages": [{"role": "robot", "content": "a"}]}'
try '{"messages": [{"role": "user", "content": null}]}'
try '{"messages": [{"role": "assistant", "tool_calls": [{"id": "a"}]}]}'
"$Q35RT" run -m "$TINY" --messages chat.json --raw 2>&1
echo "$?"
"$Q35RT" run -m "$TINY" --messages missing.json 2>&1
echo "$?"
