# --raw changes the prompt: no chat format around it.
"$Q35RT" -m "$TINY" -p hello -n 1 -q --json >chat
"$Q35RT" -m "$TINY" -p hello -n 1 -q --json --raw >raw
python3 -c '
import json
print(json.load(open("chat"))["prompt_tokens"] > json.load(open("raw"))["prompt_tokens"] > 0)'
