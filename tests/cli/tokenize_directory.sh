# Of a directory only the tokenizer is needed.
mkdir model empty
python3 - >model/tokenizer.json <<'PY'
import json
plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
other = [b for b in range(256) if b not in plain]
alphabet = {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(other)}
merges = [["a", "b"], ["\u0120", "ab"], ["b", "c"]]
tokens = [alphabet[b] for b in range(256)] + ["".join(pair) for pair in merges]
vocab = {token: i for i, token in enumerate(tokens)}
end = {"id": len(tokens), "content": "<|endoftext|>", "single_word": False, "lstrip": False, "rstrip": False,
       "normalized": False, "special": True}
level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
print(json.dumps({"version": "1.0", "added_tokens": [end], "normalizer": None, "pre_tokenizer": level,
                  "post_processor": None, "decoder": level,
                  "model": {"type": "BPE", "vocab": vocab, "merges": merges}}))
PY
"$Q35RT" tokenize -m model "ab abc bc" | tee ids.txt
"$Q35RT" detokenize -m model -f ids.txt && echo
"$Q35RT" tokenize -m model "<|endoftext|>"
"$Q35RT" tokenize -m model --special "<|endoftext|>"
"$Q35RT" tokenize -m empty a 2>&1
echo $?
