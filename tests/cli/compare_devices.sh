# One file on two devices: by --device A,B, one for each side, or by two lists; f32 all through: within the tolerance.
plugin=$(dirname "$Q35RT")/../lib/plugins-extra/libq35rt-template.so
if [ ! -e "$plugin" ]; then
    echo "skipped: no plugin template beside the program"
    exit 77
fi
"$Q35RT" compare "$TINY" --device cpu,cpu -p hello --layers | sed -n '1,2s/  .*(/ (/p;$p'
"$Q35RT" compare "$TINY" --plugin "$plugin" --device cpu --device-b template,cpu -p hello --layers --act f32 --json |
    python3 -c '
import json, sys
o = json.load(sys.stdin)
print(o["a"]["devices"], o["b"]["devices"], o["verdict"] != "differs", o["kl_mean"] < 1e-6)'
"$Q35RT" compare "$TINY" --plugin "$plugin" --device cpu,template -p hello
