# Editing on a terminal: cursor left and insert, a whole UTF-8 character deleted, lines joined, the line before again,
# and the history of the chat before. What was said is read from saved files.
PYTHONPATH=$(dirname "$0") python3 - <<'PY'
import json
from pty_chat import *
editing()

def said(path):
    return [m["content"] for m in json.load(open(path))["messages"] if m["role"] == "user"]

DONE = r"stopped: 3 tokens generated \(-n\)"
c = Chat("-n", "3", "--ignore-eos")
c.prompt()
c.say("helo" + LEFT + "l", DONE)
c.say(UP + "!", DONE)
c.say("grö" + BACKSPACE + "üß", DONE)
c.type("one\\\r")
c.expect(r"\.\.\. ")
c.say("two", DONE)
c.type('"""\r')
c.expect(r"\.\.\. ")
c.type("/three\\\r")
c.expect(r"\.\.\. ")
c.type("\r")
c.expect(r"\.\.\. ")
c.say('four"""', DONE)
c.say("//five", DONE)
c.say("/save first.json", "saved 6 turns")
c.type("/quit\r")
print(*c.end())
print(said("first.json"))

c = Chat("-n", "3", "--ignore-eos", "--load", "first.json")
c.expect("loaded 6 turns")
c.prompt()
c.say(UP + UP + LEFT + LEFT + LEFT + LEFT + LEFT + BACKSPACE + "2", "saved 6 turns")
c.type(CTRL_D)
print(*c.end())
print(said("firs2.json") == said("first.json"))
PY
