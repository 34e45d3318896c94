# A model without a chat format, and one with an unknown one: said before anything is loaded.
python3 - <<'PY'
import os
data = open(os.environ["TINY"], "rb").read()
open("none.gguf", "wb").write(data.replace(b"tokenizer.chat_template", b"tokenizer.chat_templatx"))
at = data.index(b"tokenizer.chat_template")
open("other.gguf", "wb").write(data[:at] + data[at:].replace(b"endfor", b"endfox", 1))
PY
"$Q35RT" chat -m none.gguf
echo $?
"$Q35RT" chat -m other.gguf
echo $?
