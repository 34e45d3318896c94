"$MAKE_TINY" other.gguf --vocab 700
for i in $(seq 60); do echo "line $i of a text that is scored"; done >text
"$Q35RT" eval -m "$TINY" -f text --ctx 64 --base other.gguf -q
