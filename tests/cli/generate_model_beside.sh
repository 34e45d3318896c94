# The files beside the weights say what other readers of them need: the type, and a tokenizer.json with every field.
for type in f32 f16 bf16 f8_e4m3; do
    "$Q35RT" generate-model custom "m-$type" --arch mistral3 --hidden 64 --layers 1 --heads 2 --ffn 64 --vocab 300 \
        --layout hf --type $type -q
done
"$Q35RT" generate-model custom "" --hidden 64 --layers 1 --heads 2 --ffn 64 --vocab 300 --layout hf
echo "$?"
python3 - <<'PY'
import json
for kind in "f32", "f16", "bf16", "f8_e4m3":
    config = json.load(open(f"m-{kind}/config.json"))
    print(kind, config["dtype"], config.get("quantization_config", {}).get("modules_to_not_convert"))
t = json.load(open("m-f32/tokenizer.json"))
FIELDS = {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"}
for added in t["added_tokens"]:
    print(added["id"], added["content"], sorted(FIELDS ^ set(added)), t["model"]["vocab"].get(added["content"]))
print(sorted(t["model"]["vocab"].values()) == list(range(259)))
for part in "pre_tokenizer", "decoder":
    print(part, t[part]["type"], sorted({"add_prefix_space", "trim_offsets", "use_regex"} - set(t[part])))
print(*(len(t["post_processor"][kind]) for kind in ("single", "pair")))
PY
"$Q35RT" tokenize -m m-f32 "Hi"
