# Conversations that are none: object, found, needed; the chat goes on with what it had.
n=0
try() {
    n=$((n + 1))
    printf "$1" >$n.json
    printf '/load %s\n' $n.json
}
{
    echo hello
    try '{"messages": [\n  {"role": "user",\n  "content": }]}'
    try ''
    try '[]'
    try '{"messages": {}}'
    try '{"version": 2, "messages": [{"role": "user", "content": "a"}]}'
    try '{"version": 1, "messages": [{"content": "a"}]}'
    try '{"messages": [{"role": "tool", "content": "a"}]}'
    try '{"messages": [{"role": "user", "content": 1}]}'
    try '{"messages": [{"role": "user", "content": [{"type": "image"}]}]}'
    try '{"messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]}'
    try '{"messages": [{"role": "user", "content": "a", "reasoning_content": 1}]}'
    try '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f"}}]}]}'
    try '{"messages": [{"role": "user", "content": "\\u0000"}]}'
    try '{"messages": [{"role": "user", "content": "\\ud800"}]}'
    echo /load -
    echo /load .
    echo /save out.json
    try '{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, {"role": "assistant", "content": "c", "reasoning_content": "d"}]}'
    echo /save again.json
} >script
"$Q35RT" chat -m "$TINY" -n 2 --ignore-eos <script >text
echo $?
python3 -c '
import json
print([m["role"] for m in json.load(open("out.json"))["messages"]])
print(json.load(open("again.json"))["messages"])'
"$Q35RT" chat -m "$TINY" --load 1.json
echo $?
