# A picture of what varies, refused where nothing does and where it cannot be written.
"$Q35RT" bench -m "$TINY" -p 8 -n 4 -d 0,16,32 -t 1,2 -r 1 -q --plot threads.svg >/dev/null; echo "$?"
"$Q35RT" bench -m "$TINY" -p 8 -n 4 -d 32,0,16 -t 1 -r 1 -q --plot context.svg >/dev/null; echo "$?"
python3 - <<'PY'
import re, xml.dom.minidom
for name in ("threads", "context"):
    texts = [t.firstChild.data for t in xml.dom.minidom.parse(name + ".svg").getElementsByTagName("text")]
    marks = [t.firstChild.data for t in xml.dom.minidom.parse(name + ".svg").getElementsByTagName("title")]
    print([t for t in texts if re.match("pp|tg|tokens|threads|tiny", t)])
    print([re.sub(r"[0-9.]+(e-?[0-9]+)? tok", "N tok", m) for m in marks if "tok/s" in m])
PY
"$Q35RT" bench -m "$TINY" -p 8 -n 4 -r 1 -q --plot none.svg; echo "$?"
"$Q35RT" bench -m "$TINY" -p 8 -d 0,8 -r 1 -q --plot nowhere/none.svg; echo "$?"
ls
