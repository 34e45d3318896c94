# A budget for the whole file: the plan is printed and drawn, the file keeps within it and has several types.
yes 'A stone, a river and a bird: 12 of them crossed the water. ' | head -c 4000 > text
"$Q35RT" convert "$TINY" out.gguf --target-bpw 4.6 --calibration text --plot plan.svg 2> said || { cat said >&2; exit 1; }
grep -c 'attn_q' said
python3 -c 'import xml.dom.minidom as m; m.parse("plan.svg"); print("well formed")'
"$Q35RT" inspect out.gguf | grep -o -E 'Q35_ROW|Q40_ROW|Q60_ROW' | sort -u | wc -l
"$Q35RT" inspect out.gguf | grep -E '^planned|attn_q.* -> ' | sed -E 's/[0-9.]+ -> [0-9.]+$/KL -> KL/'
"$Q35RT" inspect out.gguf --json | python3 -c 'import json, sys; p = json.load(sys.stdin)["plan"]; print(p["target"], len(p["tensors"]), all(t["alone"] >= 0 for t in p["tensors"]))'
"$Q35RT" run -m out.gguf --raw -p stone -n 2 -q > /dev/null
echo "exit code $?"
ls -A
