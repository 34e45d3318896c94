echo "5, 6
7" >ids.txt
"$Q35RT" -m "$TINY" --ids @ids.txt -n 5 --json --ignore-eos >a
"$Q35RT" -m "$TINY" --ids 5,6,7 -n 5 --json --ignore-eos >b
python3 -c 'import json; print(json.load(open("a"))["ids"] == json.load(open("b"))["ids"])'
