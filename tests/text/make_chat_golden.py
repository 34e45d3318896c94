#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/chat_templates.json: what jinja2, set up as Hugging Face's apply_chat_template does it, renders
for conversations with the templates of a folder.

Usage: make_chat_golden.py FOLDER OUT. strftime_now gives 2024-07-26 12:34:56 UTC."""
import json
import sys
from datetime import datetime, timezone
from pathlib import Path

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = datetime(2024, 7, 26, 12, 34, 56, tzinfo=timezone.utc)
TOKENS = {"llama": ("<|begin_of_text|>", "<|eot_id|>"), "Smol": ("<|im_start|>", "<|im_end|>")}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Weather of \"a\" city <é>",
                                           "parameters": {"type": "object", "properties":
                                                          {"city": {"type": "string"}}, "required": ["city"]},
                                           "return": "x"}},
         {"type": "function", "function": {"name": "none", "parameters": {}, "n": [1, 2.5, 1e-05, 1e22, True, None]}}]


def user(text):
    return {"role": "user", "content": text}


def said(text):
    return {"role": "assistant", "content": text}


def calls(*names):
    return {"role": "assistant", "tool_calls": [
        {"id": f"abcdefg0{i}", "type": "function",
         "function": {"name": name, "arguments": "{\"a\": [1, \"é\\n\"], \"b\": {\"c\": 0.1}}"}}
        for i, name in enumerate(names)]}


def result(i, text):
    return {"role": "tool", "tool_call_id": f"abcdefg0{i}", "content": text}


SYSTEM = {"role": "system", "content": " Be brief. /no_think "}
PARTS = {"role": "system", "content": [{"type": "text", "text": "S1"}, {"type": "thinking", "thinking": "TS"},
                                       {"type": "text", "text": "S2"}]}
THOUGHT = {"role": "assistant", "content": [{"type": "thinking", "thinking": "T1"}, {"type": "text", "text": "A2"}]}
CONVERSATIONS = [
    {"messages": [user("Hello")]},
    {"messages": [SYSTEM, user("\u2003 Hi <|eot_id|> [/INST] \n")]},
    {"messages": [SYSTEM, user("a"), said("\nb "), user("日本 \"q\"")]},
    {"messages": [user("a"), said("b")]},
    {"messages": [user("a"), user("b")]},
    {"messages": [SYSTEM, user("w?")], "tools": TOOLS},
    {"messages": [user("w?"), calls("get_weather"), result(0, "{\"t\": 21}")], "tools": TOOLS[:1]},
    {"messages": [user("w?"), calls("get_weather"), result(0, "21"), said("It is 21."), user("thanks")],
     "tools": TOOLS[:1]},
    {"messages": [SYSTEM, user("w?"), calls("f", "g"), result(0, "1"), result(1, "2"), said("x"), user("y")]},
    {"messages": [PARTS, user("U1"), THOUGHT, user("U2")]},
    {"messages": [SYSTEM]},
    {"messages": [user("")]},
]


def refuse(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def adapted(message, source):
    """Arguments as a dict, and a content in any case."""
    made = json.loads(json.dumps(message))
    for call in made.get("tool_calls", []):
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    made.setdefault("content", "")
    if isinstance(made["content"], list) and "'thinking'" not in source:
        refuse("no form for reasoning")
    return {key: made[key] for key in ("role", "content", "tool_calls", "tool_call_id", "name") if key in made}


def render(source, tokens, conversation):
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals.update(raise_exception=refuse, strftime_now=lambda f: NOW.strftime(f))
    messages = conversation["messages"]
    if "tools" in conversation and "tools" not in source:
        refuse("no form for tools")
    return env.from_string(source).render(
        messages=[adapted(m, source) for m in messages], tools=conversation.get("tools"), documents=None,
        add_generation_prompt=messages[-1]["role"] != "assistant", bos_token=tokens[0], eos_token=tokens[1])


def main():
    golden = {"made with": f"jinja2 {jinja2.__version__}", "conversations": CONVERSATIONS, "templates": []}
    for path in sorted(Path(sys.argv[1]).glob("*.jinja")):
        tokens = next((t for key, t in TOKENS.items() if key in path.name), ("<s>", "</s>"))
        texts = []
        for conversation in CONVERSATIONS:
            try:
                texts.append(render(path.read_text(), tokens, conversation))
            except Exception as error:  # a refusal is a result
                print(f"{path.name}: {type(error).__name__}: {str(error)[:90]}", file=sys.stderr)
                texts.append(None)
        golden["templates"].append({"file": path.name, "bos": tokens[0], "eos": tokens[1], "texts": texts})
    Path(sys.argv[2]).write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
