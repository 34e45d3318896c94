# Weights that are corrected for what the quantised layers before them do: on other lines than those of the calibration a
# third of the divergence that they leave uncorrected (0.0067 on this model and nearly this text).
line() { for i in $(seq "$1" "$2"); do echo "line $i of a text, user $((i * 7919 % 1000)) in the world, who asked $((i * i % 977)) times"; done; }
line 1 600 >text
line 700 900 >other
"$MAKE_TINY" source.gguf --layers 4 --hidden 128 --heads 4 --head-dim 32 --ffn 320 || exit
"$Q35RT" convert source.gguf out.gguf --calibration text -q || exit
"$Q35RT" eval -m out.gguf -f other --windows 6 --base source.gguf --base-act f32 --base-kv-type f32 --json -q >said || exit
kl=$(grep -o '"kl_mean": *[0-9.e-]*' said | grep -o '[0-9.e-]*$' | head -1)
awk "BEGIN { exit !($kl > 0 && $kl < 0.004) }" && echo near || echo "mean KL $kl, need less than 0.004"
