# A pasted text with line ends is one line until Enter; Ctrl-C twice at an empty line ends; a line that is cleared
# by it does not count.
PYTHONPATH=$(dirname "$0") python3 - <<'PY'
import json
from pty_chat import *
editing()

DONE = r"stopped: 3 tokens generated \(-n\)"
c = Chat("-n", "3", "--ignore-eos")
c.prompt()
c.say("see: \x1b[200~one\rtwo\rthree\n\x01\x07four\r\x1b[201~", DONE)
c.say(UP + LEFT + "i", DONE)
c.say("/save out.json", "saved 2 turns")
c.type("not said")
c.expect("not said")
c.type(CTRL_C)
c.prompt()
c.type(CTRL_C)
c.expect("Ctrl-C again ends the chat")
c.prompt()
c.say("/system", "no system message")
c.type(CTRL_C)
c.expect("Ctrl-C again ends the chat")
c.prompt()
c.type(CTRL_C)
print(*c.end())
print([m["content"] for m in json.load(open("out.json"))["messages"][::2]])
PY
