# A Hugging Face directory in the layout of Ministral 3's releases: FP8 weights with a scale each, a vision tower beside
# the text model; here without a tokenizer.
python3 - <<'END'
import json, os, struct
os.mkdir("model")
config = {"model_type": "mistral3", "vision_config": {}, "quantization_config": {
    "quant_method": "fp8", "activation_scheme": "static", "weight_block_size": None}, "text_config": {
    "model_type": "ministral3", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 48, "rms_norm_eps": 1e-5,
    "max_position_embeddings": 1024.0, "tie_word_embeddings": True, "rope_parameters": {
        "rope_type": "yarn", "rope_theta": 1e6, "factor": 16.0, "original_max_position_embeddings": 64,
        "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1}}}
layer = "language_model.model.layers.0."
shapes = {"language_model.model.embed_tokens.weight": [48, 32], "language_model.model.norm.weight": [32],
          layer + "input_layernorm.weight": [32], layer + "post_attention_layernorm.weight": [32],
          layer + "self_attn.q_proj.weight": [64, 32], layer + "self_attn.k_proj.weight": [32, 32],
          layer + "self_attn.v_proj.weight": [32, 32], layer + "self_attn.o_proj.weight": [32, 64],
          layer + "mlp.gate_proj.weight": [64, 32], layer + "mlp.up_proj.weight": [64, 32],
          layer + "mlp.down_proj.weight": [32, 64], "vision_tower.patch_conv.weight": [4, 3, 2, 2]}
header, data = {}, b""
def add(name, dtype, shape, part):
    global data
    header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(part)]}
    data += part
for k, (name, shape) in enumerate(shapes.items()):
    n = 1
    for size in shape:
        n *= size
    if name.endswith("_proj.weight"): # e4m3 without its NaN
        add(name, "F8_E4M3", shape, bytes((i * i + 7 * k) % 127 + (128 if i * 7 % 3 == 0 else 0) for i in range(n)))
        add(name + "_scale_inv", "BF16", [], struct.pack("<H", 0x3b00))
        add(name[:-len("weight")] + "activation_scale", "BF16", [], struct.pack("<H", 0x3f80))
    else: # BF16: signs and mantissas by a formula
        add(name, "BF16", shape, b"".join(struct.pack("<H", 0x3e00 + (i * i + 7 * k) % 251 + (0x8000 if i % 3 else 0))
                                          for i in range(n)))
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
open("model/config.json", "w").write(json.dumps(config))
open("model/model.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + data)
END
"$Q35RT" inspect model
"$Q35RT" inspect --json model | python3 -c '
import json, sys
o = json.load(sys.stdin)
print(o["format"], o["sizes"]["skipped_tensors"], o["sizes"]["skipped_bytes"])'
"$Q35RT" run -m model --ids 1,2,3 -n 4 2>run.err | wc -w
grep note: run.err
"$Q35RT" convert -q --no-calibration model model.q35.gguf && "$Q35RT" inspect -q model.q35.gguf | grep weights
"$Q35RT" verify -q --against model model.q35.gguf && echo verified
rm model/config.json
"$Q35RT" run -q -m model --ids 1,2,3 -n 4
echo "exit $?"
