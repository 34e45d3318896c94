# Turns from a file: only the model's text on standard output, mistakes named on standard error, the chat goes on. The
# first mistake decides the exit code.
"$Q35RT" chat -m "$TINY" -n 2 --ignore-eos --system "be brief" >text <<'E2'
one
/sav out.json
/frobnicate
/save
/quit now
/save nowhere/out.json
/load missing.json
/help
/system
two\
and a half

"""three
  and
/more"""
"""
four
"""
"""five"""
//six
/reset
/system ""
/system
seven
/save out.json
/quit
eight
E2
echo $?
[ -s text ] && echo text
python3 -c '
import json
talk = json.load(open("out.json"))
print(talk["version"], talk["model"].endswith("tiny.gguf"), [(m["role"], m["content"]) for m in talk["messages"][::2]])'
"$Q35RT" chat -m "$TINY" -n 2 --ignore-eos -q <<'E2' >text
one
two\
and a half
"""three
  and
/more"""
"""
four
"""
"""five"""
//six
/save out.json
E2
python3 -c '
import json
print([m["content"] for m in json.load(open("out.json"))["messages"][::2]])'
printf '"""no end\n' | "$Q35RT" chat -m "$TINY" || echo $?
printf 'a\0b\n' | "$Q35RT" chat -m "$TINY" || echo $?
printf 'no line end' | "$Q35RT" chat -m "$TINY" -n 2 -q --ignore-eos | wc -c | grep -v '^0$' >/dev/null && echo text
