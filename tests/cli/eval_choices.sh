# Answers of MMLU's, HellaSwag's and ARC's lines against the same numbers from the logits that run writes: the program
# is told the answers that these logits give, so all are right, and then one of them wrong.
cat >questions <<'EOF'
{"question": "Which way is up?", "choices": ["down there", "up here", "a line of text"], "answer": 0}
{"ctx": "A line of a text", "endings": [" that is scored", " that is not scored at all", "s", ": none"], "label": "0"}

{"question": "Which way is down?", "choices": {"text": ["this one", "that is another one"], "label": ["1", "2"]}, "answerKey": "1"}
{"prompt": "A line of a text which is longer ", "options": ["than that", "than this line"], "gold": "A"}
EOF
"$MAKE_TINY" other.gguf --seed 2
cat >check.py <<'EOF'
import array, json, math, os, subprocess, sys
q35rt, tiny = os.environ["Q35RT"], os.environ["TINY"]

def tokens(text):
    return [int(x) for x in subprocess.run([q35rt, "tokenize", "-m", tiny, "--ids", text], capture_output=True,
                                           text=True, check=True).stdout.replace(",", " ").split()]

def score(model, context, text):
    """Log-probability of what stands behind the context."""
    ids = tokens(text)
    n = len(tokens(context))
    assert ids[:n] == tokens(context) and len(ids) > n
    subprocess.run([q35rt, "-m", model, "--ids", ",".join(map(str, ids)), "-n", "0", "-q", "--dump-logits", "dump"],
                   check=True)
    a = array.array("f")
    with open("dump", "rb") as f:
        a.frombytes(f.read())
    vocab, total = len(a) // len(ids), 0
    for p in range(n - 1, len(ids) - 1):
        row = a[vocab * p : vocab * p + vocab]
        most = max(row)
        total += row[ids[p + 1]] - most - math.log(math.fsum(math.exp(x - most) for x in row))
    return total

def read(line):
    q = json.loads(line)
    context = q.get("ctx") or q.get("prompt") or f"Question: {q['question']}\nAnswer:"
    choices = q.get("choices") or q.get("endings") or q.get("options")
    choices = choices if isinstance(choices, list) else choices["text"]
    blank = context[-1].isspace()
    return context, [(c, context + ("" if blank or c[0].isspace() else " ") + c) for c in choices]

def eval(file, *more):
    return json.loads(subprocess.run([q35rt, "eval", "-m", tiny, "--multiple-choice", file, "-q", "--json", *more],
                                     stdout=subprocess.PIPE, check=True).stdout)

lines = [(i, x) for i, x in enumerate(open("questions"), 1) if x.strip()]
out = eval("questions", "--base", "other.gguf", "--chunk", "4")
right = {"sum": [], "per_byte": []}
for (number, line), q in zip(lines, out["questions"]):
    context, choices = read(line)
    bytes_ = [len(c.encode()) for c, _ in choices]
    for model, found in ((tiny, q["logprob"]), ("other.gguf", q["base_logprob"])):
        want = [score(model, context, text) for _, text in choices]
        print(number == q["line"], bytes_ == q["bytes"],
              all(abs(a - b) < 1e-5 * abs(b) for a, b in zip(found, want)) or (found, want))
        if model == tiny:
            per = [w / b for w, b in zip(want, bytes_)]
            right["sum"].append(want.index(max(want)))
            right["per_byte"].append(per.index(max(per)))
            print(q["pick"] == right["sum"][-1], q["pick_per_byte"] == right["per_byte"][-1])
for by in ("sum", "per_byte"):
    for wrong in (0, 1):
        with open("answers", "w") as f:
            for (_, line), answer in zip(lines, right[by]):
                q = {k: v for k, v in json.loads(line).items() if k not in ("answer", "label", "answerKey", "gold")}
                f.write(json.dumps({**q, "gold": int(not answer) if wrong else answer}) + "\n")
                wrong = 0
        o = eval("answers", "--base", tiny)
        print(by, o["n_questions"], o[by]["accuracy"], o[by]["difference"], o[by]["same_answer"], o[by]["lost"])
EOF
python3 check.py
"$Q35RT" eval -m "$TINY" --multiple-choice questions -q --base other.gguf | sed 's/[0-9][0-9.]*/N/g'
