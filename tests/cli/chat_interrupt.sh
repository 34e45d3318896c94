# Ctrl-C stops an answer and keeps the chat, twice; at the prompt it clears the line. What is answered after an
# interrupted answer is what is answered when -n stopped it at the same token: nothing is lost, in cache or history.
# Signals that end the program leave the terminal as it was.
"$MAKE_TINY" long.gguf --context 200000 || exit
PYTHONPATH=$(dirname "$0") python3 - <<'PY'
import json
from pty_chat import *
editing()

LONG = ["--ignore-eos", "-c", "200000"]
c = Chat(*LONG, model="long.gguf")
c.prompt()
c.type("to be forgotten" + CTRL_C)
c.prompt()
generated = []
for text in ("hello", "and then"):
    c.type(text + "\r")
    c.expect(text + "\r*\n")
    c.expect_bytes(300)
    c.type(CTRL_C)
    c.expect("stopped: interrupted")
    c.prompt()
    generated.append(int(c.say("/stats", r"(\d+) generated").group(1)))
c.say("/save a.json", "saved 2 turns")
c.type(CTRL_C)
c.prompt()
c.process.send_signal(signal.SIGTERM)
print(*c.end())

talk = json.load(open("a.json"))["messages"]
print([m["role"] for m in talk], [m["content"] for m in talk[::2]])
again = subprocess.run([os.environ["Q35RT"], "chat", "-m", "long.gguf", *LONG, "-n", str(generated[0]), "-q"],
                       input="hello\nand then\n/save b.json\n".encode(), stdout=subprocess.DEVNULL, timeout=PATIENCE)
same = json.load(open("b.json"))["messages"]
one, other = (m[3]["content"].rstrip("\ufffd") for m in (talk, same))
print(again.returncode, min(generated) > 1, talk[1] == same[1], one.startswith(other) or other.startswith(one))

c = Chat(*LONG, model="long.gguf")
c.prompt()
c.type("hello\r")
c.expect_bytes(300)
c.process.send_signal(signal.SIGHUP)
print(*c.end())
PY
