#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/chat_mistral.json: seeded conversations and the ids that mistral-common gives for them.

Usage: make_mistral_golden.py FOLDER OUT, where FOLDER holds mistral_common/ (version 1.13.1, unpacked or installed).
Tekken versions other than the file's own are made as the test makes them: with the special tokens below."""
import json
import random
import sys
import tempfile
from pathlib import Path

import mistral_common
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.protocol.instruct.validator import ValidationMode
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

EARLY = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]",
         "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]",
         "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]"]
MORE = {32: "[ARGS]", 33: "[CALL_ID]", 34: "[THINK]", 35: "[/THINK]"}
SPECIAL = [{"rank": i, "token_str": EARLY[i] if i < 20 else MORE.get(i, f"<SPECIAL_{i}>"), "is_control": True}
           for i in range(36)]
TEXTS = ["Hi", " What is 2+2? ", "A.", "naïve École", "日本語", "line\n\nnext", "[INST] x [/INST]</s>", "😀 ok",
         "<s>[TOOL_CALLS]", "  two  spaces", "don't", "a\tb", "{\"a\": 1}", "\"quoted\" \\ back", "tail  "]
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Weather of a city",
                                           "parameters": {"type": "object",
                                                          "properties": {"city": {"type": "string"}},
                                                          "required": ["city"]}}},
         {"type": "function", "function": {"name": "add", "description": "",
                                           "parameters": {"type": "object", "properties":
                                                          {"a": {"type": "number", "minimum": 1e-05},
                                                           "été": {"type": "integer", "maximum": 1e22}}}}}]
ARGUMENTS = ["{}", "", "{\"city\": \"Paris\"}", "{\"a\":1.50,\"b\":[true,null,-0,1E5]}", "{\"é\": \"\\u00e9\\n\"}"]
RESULTS = ["42", "{\"t\": 21.0}", "sunny", "[1,2]", "\"s\"", "not { json"]


def identity(r):
    return "".join(r.choice("abcdefXYZ0123456789") for _ in range(9))


def assistant_text(r, version):
    text = r.choice(TEXTS)
    if version >= 13 and r.random() < 0.4:
        return [{"type": "thinking", "thinking": r.choice(TEXTS)}] + (
            [{"type": "text", "text": text}] if r.random() < 0.8 else [])
    return text


def conversation(r, version):
    tools = version >= 2 and r.random() < 0.6
    messages = []
    if r.random() < 0.5:
        messages.append({"role": "system", "content": r.choice(TEXTS)})
    for turn in range(r.randint(1, 3)):
        for _ in range(1 if r.random() < 0.8 else 2):
            messages.append({"role": "user", "content": r.choice(TEXTS)})
        if r.random() < 0.1:
            messages.append({"role": "system", "content": r.choice(TEXTS)})
        if tools and r.random() < 0.6:
            n = 1 if version == 2 else r.randint(1, 2)
            calls = [{"id": identity(r), "type": "function",
                      "function": {"name": r.choice(TOOLS)["function"]["name"], "arguments": r.choice(ARGUMENTS)}}
                     for _ in range(n)]
            message = {"role": "assistant", "tool_calls": calls}
            if version >= 7 and r.random() < 0.3:
                message["content"] = assistant_text(r, version)
            messages.append(message)
            results = [{"role": "tool", "tool_call_id": c["id"], "name": c["function"]["name"],
                        "content": r.choice(RESULTS)} for c in calls]
            r.shuffle(results)
            messages += results
            if turn < 2 and r.random() < 0.7:
                messages.append({"role": "assistant", "content": assistant_text(r, version)})
        elif turn < 2:
            messages.append({"role": "assistant", "content": assistant_text(r, version)})
    while messages[-1]["role"] == "assistant" or messages[-1]["role"] == "system":
        messages.append({"role": "user", "content": r.choice(TEXTS)})
    made = {"messages": messages}
    if tools:
        made["tools"] = TOOLS[: r.randint(1, 2)]
    return made


def tokenizers(folder):
    data = Path(folder) / "mistral_common" / "data"
    for name, version in (("tokenizer.model.v1", 1), ("mistral_instruct_tokenizer_240216.model.v2", 2),
                          ("mistral_instruct_tokenizer_240323.model.v3", 3),
                          ("mistral_instruct_tokenizer_241114.model.v7", 7)):
        yield name, version, MistralTokenizer.from_file(str(data / name), mode=ValidationMode.test)
    tekken = json.loads((data / "tekken_240718.json").read_text())
    tekken["special_tokens"] = SPECIAL
    for version in (3, 7, 11, 13):
        tekken["config"]["version"] = f"v{version}"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "tekken.json"
            path.write_text(json.dumps(tekken))
            yield "tekken_240718.json", version, MistralTokenizer.from_file(str(path), mode=ValidationMode.test)


def main():
    r = random.Random(35)
    cases = []
    for name, version, tokenizer in tokenizers(sys.argv[1]):
        done = 0
        while done < 25:
            made = conversation(r, version)
            try:
                ids = tokenizer.encode_chat_completion(ChatCompletionRequest.from_openai(**made)).tokens
            except Exception as error:  # what the library refuses is no case
                print(f"{name} v{version}: {type(error).__name__}: {str(error)[:100]}", file=sys.stderr)
                continue
            if "tools" in made:
                made["tools"] = len(made["tools"])
            cases.append({"file": name, "version": f"v{version}", "conversation": made,
                          "ids": " ".join(map(str, ids))})
            done += 1
    golden = {"made with": f"mistral-common {mistral_common.__version__}, seed 35", "special": SPECIAL, "tools": TOOLS,
              "cases": cases}
    lines = [json.dumps(case, ensure_ascii=False) for case in cases]
    golden["cases"] = "@"
    Path(sys.argv[2]).write_text(json.dumps(golden, ensure_ascii=False).replace(
        "\"@\"", "[\n" + ",\n".join(lines) + "]") + "\n")


if __name__ == "__main__":
    main()
