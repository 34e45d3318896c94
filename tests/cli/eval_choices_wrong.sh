# Lines that are no questions: file, line, what is wrong.
try() {
    printf '%s\n' '{"question": "a", "choices": ["b", "c"], "answer": 0}' '' "$1" >questions
    "$Q35RT" eval -m "$TINY" --multiple-choice questions -q
    echo "exit code $?"
}
try '{"question": "a"'
try '[1]'
try '{"choices": ["b", "c"], "answer": 0}'
try '{"question": 5, "choices": ["b", "c"], "answer": 0}'
try '{"ctx": "", "choices": ["b", "c"], "answer": 0}'
try '{"question": "a", "answer": 0}'
try '{"question": "a", "choices": ["b"], "answer": 0}'
try '{"question": "a", "choices": ["b", ""], "answer": 0}'
try '{"question": "a", "choices": ["b", 5], "answer": 0}'
try '{"question": "a", "choices": {"label": ["A", "B"]}, "answer": 0}'
try '{"question": "a", "choices": ["b", "c"]}'
try '{"question": "a", "choices": ["b", "c"], "answer": 2}'
try '{"question": "a", "choices": ["b", "c"], "answer": -1}'
try '{"question": "a", "choices": ["b", "c"], "answer": 0.5}'
try '{"question": "a", "choices": ["b", "c"], "answer": "C"}'
try '{"question": "a", "choices": ["b", "c"], "answer": ""}'
try '{"question": "a", "choices": ["b", "c"], "answer": "1x"}'
try '{"question": "a", "choices": ["b", "c"], "answer": null}'
try "$(printf '{"question": "a\377", "choices": ["b", "c"], "answer": 0}')"
try "{\"question\": \"$(head -c 8000 /dev/zero | tr '\0' x)\", \"choices\": [\"b\", \"c\"], \"answer\": 0}"
try "$(head -c 100000 /dev/zero | tr '\0' '[')"
printf '\n \n' >questions
"$Q35RT" eval -m "$TINY" --multiple-choice questions -q || echo "exit code $?"
"$Q35RT" eval -m "$TINY" --multiple-choice missing -q || echo "exit code $?"
"$Q35RT" eval -m "$TINY" --multiple-choice questions -f text -q || echo "exit code $?"
"$Q35RT" eval -m "$TINY" --multiple-choice questions --save-base base -q || echo "exit code $?"
