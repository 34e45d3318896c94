/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokenizer files of every kind and the keys they become, and the sentence for each thing in them that is wrong or
 * not understood. */
#include "model/tok_samples.h"
#include "support/expect.h"
#include "support/suite.h"

#include <stdlib.h>
#include <string.h>

static q35_status tekken(const tekken_spec *spec, uint64_t rows, q35i_meta_list *keys)
{
    return tok_translate(q35i_tok_read_tekken, "tekken.json", tekken_file(spec), rows, keys);
}

static q35_status json(const json_spec *spec, q35i_meta_list *keys)
{
    return tok_translate(q35i_tok_read_json, "tokenizer.json", json_file(spec), 0, keys);
}

static q35_status model(const model_spec *spec, const char *name, q35i_meta_list *keys)
{
    return tok_translate(q35i_tok_read_model, name, model_file(spec), 0, keys);
}

START_TEST(tekken_early)
{
    q35i_meta_list keys = {0};
    tekken_spec spec = tekken_spec_default();
    spec.n_special = 22;
    EXPECT_OK(tekken(&spec, 0, &keys));
    expect_string(&keys, "tokenizer.ggml.model", "gpt2");
    expect_string(&keys, "tokenizer.ggml.pre", "tekken");
    expect_string(&keys, "tokenizer.mistral.version", "v3");
    ck_assert_uint_eq(key_count(&keys, "tokenizer.ggml.tokens"), 22 + 259);
    expect_token(&keys, 0, "<unk>", 3);
    expect_token(&keys, 19, "[TOOL_CONTENT]", 3);
    expect_token(&keys, 21, "<SPECIAL_21>", 3);
    expect_token(&keys, 22, "\xC4\x80", 1); /* byte 0 in the alphabet */
    expect_token(&keys, 22 + 257,
                 "\xC4\xA0"
                 "a",
                 1);
    expect_token(&keys, 22 + 258, "\xC3\x83\xC2\xA9", 1);
    expect_int(&keys, "tokenizer.ggml.bos_token_id", 1);
    expect_int(&keys, "tokenizer.ggml.eos_token_id", 2);
    expect_int(&keys, "tokenizer.ggml.unknown_token_id", 0);
    expect_int(&keys, "tokenizer.ggml.padding_token_id", 11);
    expect_int(&keys, "tokenizer.ggml.add_bos_token", 1);
    expect_absent(&keys, "tokenizer.ggml.merges");
    expect_absent(&keys, "tokenizer.ggml.scores");
    q35i_meta_list_free(&keys);
}
END_TEST

START_TEST(tekken_listed)
{
    q35i_meta_list keys = {0};
    tekken_spec spec = tekken_spec_default();
    spec.version = "v13";
    spec.n_special = 8;
    spec.n_vocab = 257; /* fewer than there are */
    spec.specials = "[{\"rank\": 1, \"token_str\": \"<s>\", \"is_control\": true}, "
                    "{\"rank\": 2.0, \"token_str\": \"</s>\"}, "
                    "{\"rank\": 5, \"token_str\": \"\\u00e9\\ud83d\\ude00\", \"is_control\": false}]";
    EXPECT_OK(tekken(&spec, 268, &keys));
    expect_string(&keys, "tokenizer.mistral.version", "v13");
    ck_assert_uint_eq(key_count(&keys, "tokenizer.ggml.tokens"), 268);
    expect_token(&keys, 0, "<SPECIAL_0>", 3);
    expect_token(&keys, 2, "</s>", 3);
    expect_token(&keys, 5, "\xC3\xA9\xF0\x9F\x98\x80", 3);
    expect_token(&keys, 264, "ab", 1);
    expect_token(&keys, 265, "[PAD265]", 5);
    expect_token(&keys, 267, "[PAD267]", 5);
    expect_absent(&keys, "tokenizer.ggml.padding_token_id");
    q35i_meta_list_free(&keys);
}
END_TEST

static void tekken_refused(tekken_spec spec, uint64_t rows, q35_status code, const char *text)
{
    q35i_meta_list keys = {0};
    expect_failure(tekken(&spec, rows, &keys), code, text, text);
    q35i_meta_list_free(&keys);
}

START_TEST(tekken_wrong)
{
    const tekken_spec good = tekken_spec_default();
    tekken_spec s = good;
    tekken_refused(s, 100, Q35_E_FORMAT, "tekken.json: 279 tokens for an embedding of 100 rows");
    s.version = NULL;
    tekken_refused(s, 0, Q35_E_FORMAT, "tekken.json: version: missing, need a string");
    s.version = "v99";
    tekken_refused(s, 0, Q35_E_UNSUPPORTED, "version: 'v99', need v1");
    s.version = "v13";
    tekken_refused(s, 0, Q35_E_FORMAT, "no special_tokens");
    s = good;
    s.pattern = "\\\\s+";
    tekken_refused(s, 0, Q35_E_UNSUPPORTED, "pattern: '\\s+', need the one of Tekken");
    s = good;
    s.n_vocab = 260;
    tekken_refused(s, 0, Q35_E_FORMAT, "default_vocab_size: 280, need 20 special tokens and 256 to 259");
    s.n_vocab = 255;
    tekken_refused(s, 0, Q35_E_FORMAT, "default_vocab_size: 275");
    s.n_special = 100000000;
    tekken_refused(s, 0, Q35_E_FORMAT, "default_num_special_tokens: 100000000, need an integer of 0 to 65536");
    s = good;
    s.n_vocab = 260;
    s.entry = "{\"rank\": 260, \"token_bytes\": \"YWJj\"}";
    tekken_refused(s, 0, Q35_E_FORMAT, "vocab: rank 260, need 259");
    s.entry = "{\"rank\": 259, \"token_bytes\": \"YWJ\"}";
    tekken_refused(s, 0, Q35_E_FORMAT, "rank 259: token_bytes: 'YWJ', need base64");
    s.entry = "{\"rank\": 259, \"token_bytes\": \"YR==\"}"; /* bits behind the end */
    tekken_refused(s, 0, Q35_E_FORMAT, "need base64");
    s.entry = "{\"rank\": 259, \"token_bytes\": \"\"}";
    tekken_refused(s, 0, Q35_E_FORMAT, "need base64");
    s.entry = "{\"rank\": 259, \"token_bytes\": \"YWI=\"}";
    tekken_refused(s, 0, Q35_E_FORMAT, "tokens 276 and 279 are both 'ab', need each token once");
    s.entry = "{\"rank\": 259, \"token_bytes\": 5}";
    tekken_refused(s, 0, Q35_E_FORMAT, "token_bytes: a number, need a string");
    s.entry = "[]";
    tekken_refused(s, 0, Q35_E_FORMAT, "an array at byte");
    s = good;
    s.specials = "[{\"rank\": 1, \"token_str\": \"<s>\"}, {\"rank\": 1, \"token_str\": \"</s>\"}]";
    tekken_refused(s, 0, Q35_E_FORMAT, "special token '</s>': rank 1, need one below 20 that no other has");
    s.specials = "[{\"rank\": 20, \"token_str\": \"<s>\"}]";
    tekken_refused(s, 0, Q35_E_FORMAT, "rank 20");
    s.specials = "[{\"rank\": 0, \"token_str\": \"<s>\"}, {\"rank\": 1, \"token_str\": \"<s>\"}]";
    tekken_refused(s, 0, Q35_E_FORMAT, "tokens 0 and 1 are both '<s>'");
    s.specials = "[{\"rank\": 0, \"token_str\": \"<s>\"}]";
    tekken_refused(s, 0, Q35_E_FORMAT, "no special token </s>, need it");
}
END_TEST

START_TEST(sentencepiece)
{
    q35i_meta_list keys = {0};
    model_spec spec = model_spec_default();
    float score;
    spec.piece = "[INST]";
    spec.piece_type = 4;
    EXPECT_OK(model(&spec, "tokenizer.model.v3", &keys));
    expect_string(&keys, "tokenizer.ggml.model", "llama");
    expect_string(&keys, "tokenizer.mistral.version", "v3");
    expect_absent(&keys, "tokenizer.ggml.pre");
    ck_assert_uint_eq(key_count(&keys, "tokenizer.ggml.tokens"), 265);
    expect_token(&keys, 0, "<unk>", 2);
    expect_token(&keys, 1, "<s>", 3);
    expect_token(&keys, 3 + 0xAB, "<0xAB>", 6);
    expect_token(&keys, 262, "ab", 1);
    expect_token(&keys, 264, "[INST]", 4);
    const q35_meta *scores = q35i_meta_list_find(&keys, "tokenizer.ggml.scores");
    ck_assert_ptr_nonnull(scores);
    memcpy(&score, (const uint8_t *)scores->data + 262 * sizeof score, sizeof score);
    ck_assert(scores->elem_type == Q35_META_F32 && score == -3.0f);
    expect_int(&keys, "tokenizer.ggml.bos_token_id", 1);
    expect_int(&keys, "tokenizer.ggml.eos_token_id", 2);
    expect_int(&keys, "tokenizer.ggml.unknown_token_id", 0);
    expect_absent(&keys, "tokenizer.ggml.padding_token_id");
    expect_int(&keys, "tokenizer.ggml.add_bos_token", 1);
    expect_int(&keys, "tokenizer.ggml.add_space_prefix", 1);
    expect_int(&keys, "tokenizer.ggml.remove_extra_whitespaces", 0);
    q35i_meta_list_free(&keys);
}
END_TEST

START_TEST(sentencepiece_settings)
{
    static const struct {
        const char *name, *version;
    } names[] = {{"tokenizer.model", NULL},        {"tokenizer.model.v7m1", "v7"},
                 {"tokenizer.model.vx", NULL},     {"tokenizer.model.v3x", NULL},
                 {"tokenizer.model.v12345", NULL}, {"a.b/tokenizer.model.v1", "v1"}};
    model_spec spec = model_spec_default();
    spec.dummy_prefix = 0;
    spec.remove_extra_spaces = 1;
    spec.bos = "</s>";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        q35i_meta_list keys = {0};
        EXPECT_OK(model(&spec, names[i].name, &keys));
        if (names[i].version)
            expect_string(&keys, "tokenizer.mistral.version", names[i].version);
        else
            expect_absent(&keys, "tokenizer.mistral.version");
        expect_int(&keys, "tokenizer.ggml.add_space_prefix", 0);
        expect_int(&keys, "tokenizer.ggml.remove_extra_whitespaces", 1);
        expect_int(&keys, "tokenizer.ggml.bos_token_id", 2);
        q35i_meta_list_free(&keys);
    }
}
END_TEST

static void model_refused(model_spec spec, q35_status code, const char *text)
{
    q35i_meta_list keys = {0};
    expect_failure(model(&spec, "tokenizer.model", &keys), code, text, text);
    q35i_meta_list_free(&keys);
}

START_TEST(sentencepiece_wrong)
{
    const model_spec good = model_spec_default();
    model_spec s = good;
    s.model_type = 1;
    model_refused(s, Q35_E_UNSUPPORTED, "tokenizer.model: model_type 1 (unigram), need 2 (BPE)");
    s = good;
    s.byte_fallback = 0;
    model_refused(s, Q35_E_UNSUPPORTED, "no byte_fallback");
    s = good;
    s.table = "table";
    model_refused(s, Q35_E_UNSUPPORTED, "normalizer 'nmt_nfkc' with a table, need identity");
    s = good;
    s.suffix = 1;
    model_refused(s, Q35_E_UNSUPPORTED, "treat_whitespace_as_suffix");
    s = good;
    s.escape_whitespaces = 0;
    model_refused(s, Q35_E_UNSUPPORTED, "no escape_whitespaces");
    s = good;
    s.piece = "ab";
    s.piece_type = 1;
    model_refused(s, Q35_E_FORMAT, "tokens 262 and 264 are both 'ab'");
    s.piece = "";
    model_refused(s, Q35_E_FORMAT, "token 264: empty");
    s.piece = "\xC3(";
    model_refused(s, Q35_E_FORMAT, "token 264: '?(', need UTF-8");
    s.piece = "x";
    s.piece_type = 7;
    model_refused(s, Q35_E_FORMAT, "piece 264: type 7, need 1 to 6");
    s.piece_type = 6;
    model_refused(s, Q35_E_FORMAT, "257 tokens of the 256 bytes");
    s.piece_type = 1;
    s.score_bytes = "\x01\x02\xC0\x7F";
    model_refused(s, Q35_E_FORMAT, "piece 264: score nan");
}
END_TEST

START_TEST(ranks)
{
    q35i_meta_list keys = {0};
    EXPECT_OK(tok_translate(q35i_tok_read_model, "tokenizer.model", ranks_file(128000), 128256, &keys));
    expect_string(&keys, "tokenizer.ggml.model", "gpt2");
    expect_string(&keys, "tokenizer.ggml.pre", "llama-bpe");
    ck_assert_uint_eq(key_count(&keys, "tokenizer.ggml.tokens"), 128256);
    expect_token(&keys, 'a', "a", 1);
    expect_token(&keys, 128000, "<|begin_of_text|>", 3);
    expect_token(&keys, 128011, "<|image|>", 3);
    expect_token(&keys, 128012, "<|reserved_special_token_2|>", 3);
    expect_token(&keys, 128255, "<|reserved_special_token_245|>", 3);
    expect_int(&keys, "tokenizer.ggml.bos_token_id", 128000);
    expect_int(&keys, "tokenizer.ggml.eos_token_id", 128001);
    expect_int(&keys, "tokenizer.ggml.padding_token_id", 128004);
    expect_int(&keys, "tokenizer.ggml.eom_token_id", 128008);
    expect_int(&keys, "tokenizer.ggml.eot_token_id", 128009);
    expect_int(&keys, "tokenizer.ggml.add_bos_token", 1);
    expect_absent(&keys, "tokenizer.ggml.merges");
    q35i_meta_list_free(&keys);
}
END_TEST

START_TEST(ranks_wrong)
{
    static const struct {
        q35_status code;
        const char *file, *text;
    } cases[] = {
        {Q35_E_UNSUPPORTED, "YQ== 0\nYg== 1\r\nYw== 2", "3 lines of ranks, need the 128000 of Llama 3"},
        {Q35_E_FORMAT, "YQ== 0\nYg== 0\n", "line 2: rank 0, need 1"},
        {Q35_E_FORMAT, "YQ== 0\nYg== 7\n", "line 2: rank 7, need 1"},
        {Q35_E_FORMAT, "YQ== 0\n\n", "line 2: '', need base64, a space and a rank"},
        {Q35_E_FORMAT, "YQ= 0\n", "line 1: 'YQ= 0'"},
        {Q35_E_FORMAT, "YQ==\n", "line 1"},
        {Q35_E_FORMAT, "YQ== \n", "line 1"},
        {Q35_E_FORMAT, "YQ== 0x\n", "line 1"},
        {Q35_E_FORMAT, "YQ== 99999999999999999999999999\n", "line 1"},
        {Q35_E_FORMAT, "YQ== 0\nYQ== 1\n", "tokens 0 and 1 are both 'a'"},
        {Q35_E_FORMAT, "", "tokenizer.model: empty"},
        {Q35_E_FORMAT, "{\"model\": {}}", "need a SentencePiece model"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        q35i_tok tok = {0};
        expect_failure(q35i_tok_read_model(&tok, "tokenizer.model", cases[i].file, strlen(cases[i].file)),
                       cases[i].code, cases[i].text, cases[i].text);
        q35i_tok_free(&tok);
    }
}
END_TEST

#define SEQUENCE(list) "{\"type\": \"Sequence\", \"pretokenizers\": [" list "]}"
#define BYTES(regex)   "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": " regex "}"
#define SPLIT(pattern)                                                                                            \
    "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"" pattern "\"}, \"behavior\": \"Isolated\"}"
#define LLAMA3                                                                                                    \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| "                        \
    "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define GPT2 "'(?:[sdmt]|ll|ve|re)| ?\\\\p{L}+| ?\\\\p{N}+| ?[^\\\\s\\\\p{L}\\\\p{N}]+|\\\\s+(?!\\\\S)|\\\\s+"
#define BEGIN(name, ids)                                                                                          \
    "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"" name                         \
    "\"}}, {\"Sequence\": {\"id\": \"A\"}}], \"special_tokens\": {\"<s>\": {\"id\": \"<s>\", \"ids\": [" ids      \
    "]}}}"

START_TEST(json_pre_tokenizers)
{
    static const struct {
        const char *stage, *model, *pre;
    } cases[] = {
        {BYTES("true"), "", "gpt-2"},
        {SEQUENCE("{\"type\": \"Digits\", \"individual_digits\": true}, " BYTES("true")), "", "smollm"},
        {SEQUENCE(SPLIT(LLAMA3) ", " BYTES("false")), "\"ignore_merges\": true, ", "llama-bpe"},
        {SEQUENCE(SPLIT(GPT2) ", " BYTES("false")), "", "gpt-2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        q35i_meta_list keys = {0};
        json_spec spec = json_spec_byte_level();
        spec.pre_tokenizer = cases[i].stage;
        spec.model = cases[i].model;
        EXPECT_OK(json(&spec, &keys));
        expect_string(&keys, "tokenizer.ggml.model", "gpt2");
        expect_string(&keys, "tokenizer.ggml.pre", cases[i].pre);
        expect_int(&keys, "tokenizer.ggml.add_bos_token", 0);
        q35i_meta_list_free(&keys);
    }
}
END_TEST

START_TEST(json_tokens)
{
    q35i_meta_list keys = {0};
    json_spec spec = json_spec_byte_level();
    spec.added = "[{\"id\": 4, \"content\": \"<s>\", \"special\": true}, {\"id\": 6, \"content\": \"<tool>\", "
                 "\"special\": false}, {\"id\": 1, \"content\": \"b\", \"special\": true}]";
    spec.vocab = "{\"\\u0061\": 0, \"b\": 1, \"ab\": 2.0, \"\\u0120\": 3}";
    spec.merges = "[\"#version: 0.2\", \"a b\", [\"\\u0120\", \"a\\u0062\"]]";
    spec.post_processor =
        "{\"type\": \"Sequence\", \"processors\": [{\"type\": \"ByteLevel\"}, " BEGIN("<s>", "4") "]}";
    EXPECT_OK(json(&spec, &keys));
    ck_assert_uint_eq(key_count(&keys, "tokenizer.ggml.tokens"), 7);
    expect_token(&keys, 0, "a", 1);
    expect_token(&keys, 1, "b", 3);
    expect_token(&keys, 3, "\xC4\xA0", 1);
    expect_token(&keys, 4, "<s>", 3);
    expect_token(&keys, 5, "[PAD5]", 5);
    expect_token(&keys, 6, "<tool>", 4);
    ck_assert_uint_eq(key_count(&keys, "tokenizer.ggml.merges"), 2);
    q35_string rule = key_string_at(&keys, "tokenizer.ggml.merges", 1);
    ck_assert(rule.len == 5 && memcmp(rule.data, "\xC4\xA0 ab", 5) == 0);
    expect_int(&keys, "tokenizer.ggml.add_bos_token", 1);
    expect_int(&keys, "tokenizer.ggml.add_eos_token", 0);
    expect_int(&keys, "tokenizer.ggml.bos_token_id", 4);
    q35i_meta_list_free(&keys);
}
END_TEST

START_TEST(json_pieces)
{
    static const char legacy[] =
        "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", \"prepend\": \"\\u2581\"}, "
        "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"\\u2581\"}]}";
    static const char replace[] = "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": "
                                  "\"\\u2581\"}";
    for (int i = 0; i < 3; i++) {
        q35i_meta_list keys = {0};
        json_spec spec = json_spec_pieces();
        if (i > 0) {
            spec.pre_tokenizer = NULL;
            spec.normalizer = i == 1 ? legacy : replace;
        }
        EXPECT_OK(json(&spec, &keys));
        expect_string(&keys, "tokenizer.ggml.model", "llama");
        expect_int(&keys, "tokenizer.ggml.add_space_prefix", i < 2);
        expect_int(&keys, "tokenizer.ggml.remove_extra_whitespaces", 0);
        expect_token(&keys, 0, "<unk>", 2);
        expect_token(&keys, 1, "<s>", 3);
        expect_token(&keys, 258, "<0xFF>", 6);
        expect_token(&keys, 263,
                     "\xE2\x96\x81"
                     "ab",
                     1);
        expect_int(&keys, "tokenizer.ggml.unknown_token_id", 0);
        ck_assert_uint_eq(key_count(&keys, "tokenizer.ggml.merges"), 2);
        ck_assert_uint_eq(key_count(&keys, "tokenizer.ggml.scores"), 264);
        q35i_meta_list_free(&keys);
    }
}
END_TEST

static void json_refused(json_spec spec, q35_status code, const char *text)
{
    q35i_meta_list keys = {0};
    expect_failure(json(&spec, &keys), code, text, text);
    q35i_meta_list_free(&keys);
}

START_TEST(json_not_understood)
{
    static const struct {
        size_t member;
        const char *value, *text;
    } cases[] = {
#define CASE(member, value, text) {offsetof(json_spec, member), value, text}
        CASE(model, "\"type\": \"Unigram\", ", "tokenizer.json: model: 'Unigram', need BPE"),
        CASE(model, "\"dropout\": 0.1, ", "model: dropout, need none"),
        CASE(model, "\"continuing_subword_prefix\": \"##\", ", "continuing_subword_prefix '##', need none"),
        CASE(model, "\"end_of_word_suffix\": \"</w>\", ", "end_of_word_suffix '</w>'"),
        CASE(model, "\"ignore_merges\": true, ", "ignore_merges true with gpt-2, need false"),
        CASE(normalizer, "{\"type\": \"NFC\"}", "normalizer: 'NFC', need none"),
        CASE(pre_tokenizer, NULL, "no pre_tokenizer and no byte_fallback"),
        CASE(pre_tokenizer, "{\"type\": \"Whitespace\"}", "pre_tokenizer: 'Whitespace', need ByteLevel"),
        CASE(pre_tokenizer, "{\"type\": \"ByteLevel\"}", "ByteLevel: add_prefix_space, need it off"),
        CASE(pre_tokenizer, BYTES("false"), "ByteLevel without a pattern"),
        CASE(pre_tokenizer, SEQUENCE("{\"type\": \"Digits\"}, " BYTES("true")), "not individual Digits"),
        CASE(pre_tokenizer, SEQUENCE(SPLIT("x+") ", " BYTES("false")), "Split: pattern 'x+', need that of"),
        CASE(pre_tokenizer, SEQUENCE(SPLIT(LLAMA3) ", " BYTES("false")), "ignore_merges false with llama-bpe"),
        CASE(pre_tokenizer,
             SEQUENCE("{\"type\": \"Split\", \"pattern\": {\"Regex\": \"x\"}, \"behavior\": \"Removed\"}, " BYTES(
                 "false")),
             "Split: behavior 'Removed'"),
        CASE(
            pre_tokenizer,
            SEQUENCE("{\"type\": \"Split\", \"pattern\": {\"String\": \"x\"}, \"behavior\": \"Isolated\"}, " BYTES(
                "false")),
            "Split: no Regex"),
        CASE(decoder, "{\"type\": \"WordPiece\"}", "decoder: 'WordPiece', need ByteLevel"),
        CASE(post_processor, "{\"type\": \"BertProcessing\"}", "post_processor: 'BertProcessing'"),
        CASE(post_processor, "{\"type\": \"TemplateProcessing\", \"single\": []}", "no Sequence"),
        CASE(post_processor, BEGIN("<s>", "1, 2"), "special token of 2 ids"),
        CASE(added, "[{\"id\": 4, \"content\": \"<m>\", \"lstrip\": true}]", "added token '<m>': lstrip"),
#undef CASE
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_spec spec = json_spec_byte_level();
        memcpy((char *)&spec + cases[i].member, &cases[i].value, sizeof cases[i].value);
        json_refused(spec, Q35_E_UNSUPPORTED, cases[i].text);
    }
}
END_TEST

START_TEST(json_pieces_not_understood)
{
    json_spec s = json_spec_pieces();
    s.pre_tokenizer = NULL;
    json_refused(s, Q35_E_UNSUPPORTED, "byte_fallback without a stage that makes spaces U+2581");
    s.pre_tokenizer = "{\"type\": \"Metaspace\", \"replacement\": \"\\u2581\"}";
    json_refused(s, Q35_E_UNSUPPORTED, "Metaspace: split at spaces");
    s.pre_tokenizer = "{\"type\": \"Metaspace\", \"replacement\": \"_\", \"split\": false}";
    json_refused(s, Q35_E_UNSUPPORTED, "Metaspace: another replacement");
    s.pre_tokenizer = "{\"type\": \"Metaspace\", \"split\": false, \"prepend_scheme\": \"some\"}";
    json_refused(s, Q35_E_UNSUPPORTED, "prepend_scheme 'some'");
    s.pre_tokenizer = BYTES("true");
    json_refused(s, Q35_E_UNSUPPORTED, "pre_tokenizer: 'ByteLevel', need Metaspace");
    s = json_spec_pieces();
    s.normalizer = "{\"type\": \"Lowercase\"}";
    json_refused(s, Q35_E_UNSUPPORTED, "normalizer: 'Lowercase'");
    s = json_spec_pieces();
    s.vocab = "{\"<unk>\": 0, \"<s>\": 1, \"</s>\": 2, \"a\": 3}";
    json_refused(s, Q35_E_FORMAT, "0 tokens of the 256 bytes");
}
END_TEST

START_TEST(json_wrong)
{
    const json_spec good = json_spec_byte_level();
    json_spec s = good;
    s.vocab = "{\"a\": 0, \"b\": 0}";
    json_refused(s, Q35_E_FORMAT, "vocab: id 0: again at byte");
    s.vocab = "{\"a\": 0, \"a\": 1}";
    json_refused(s, Q35_E_FORMAT, "tokens 0 and 1 are both 'a'");
    s.vocab = "{\"a\": -1}";
    json_refused(s, Q35_E_FORMAT, "need an integer of 0 to 65536");
    s.vocab = "{\"a\": 4000000000}";
    json_refused(s, Q35_E_FORMAT, "need an integer of 0 to 65536");
    s.vocab = "{\"a\": 0.5}";
    json_refused(s, Q35_E_FORMAT, "need an integer");
    s.vocab = "{\"\": 0}";
    json_refused(s, Q35_E_FORMAT, "token 0: empty");
    s.vocab = "{}";
    json_refused(s, Q35_E_FORMAT, "no tokens");
    s.vocab = "{\"\\ud800\": 0}";
    json_refused(s, Q35_E_FORMAT, "surrogate");
    s.vocab = "{\"\\udc00\": 0}";
    json_refused(s, Q35_E_FORMAT, "surrogate");
    s.vocab = "{\"\xED\xA0\x80\": 0}";
    json_refused(s, Q35_E_FORMAT, "need UTF-8");
    s = good;
    s.merges = "[\"ab\"]";
    json_refused(s, Q35_E_FORMAT, "merges: 'ab', need two tokens");
    s.merges = "[\"a b c\"]";
    json_refused(s, Q35_E_FORMAT, "merges: 'a b c'");
    s.merges = "[[\"a\", \" b\"]]";
    json_refused(s, Q35_E_FORMAT, "merges: 'a  b'");
    s.merges = "[[\"a\"]]";
    json_refused(s, Q35_E_FORMAT, "an array, need two strings");
    s.merges = "[7]";
    json_refused(s, Q35_E_FORMAT, "a number, need two strings");
    s = good;
    s.added = "[{\"id\": 2, \"content\": \"cd\"}]";
    json_refused(s, Q35_E_FORMAT, "added token 'cd': id 2 is another token");
    s.added = "[{\"id\": 5, \"content\": \"c\"}, {\"id\": 5, \"content\": \"d\"}]";
    json_refused(s, Q35_E_FORMAT, "added_tokens: id 5: again");
    s.added = "[{\"id\": 70000, \"content\": \"c\"}]";
    json_refused(s, Q35_E_FORMAT, "added_tokens: id at byte");
    s = good;
    s.post_processor = BEGIN("<s>", "99");
    json_refused(s, Q35_E_FORMAT, "post_processor: id 99, need one below 4");
    s.post_processor = BEGIN("<t>", "1");
    json_refused(s, Q35_E_FORMAT, "<t>: missing, need an object");
}
END_TEST

/* U+0000 is a token like others. */
START_TEST(json_nul)
{
    q35i_meta_list keys = {0};
    json_spec spec = json_spec_byte_level();
    spec.added = "[{\"id\": 4, \"content\": \"x\\u0000y\", \"special\": true}]";
    EXPECT_OK(json(&spec, &keys));
    q35_string s = key_string_at(&keys, "tokenizer.ggml.tokens", 4);
    ck_assert(s.len == 3 && memcmp(s.data, "x\0y", 3) == 0);
    q35i_meta_list_free(&keys);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hf_tokenizer");
    TCase *tc = tcase_create("hf_tokenizer");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, tekken_early);
    tcase_add_test(tc, tekken_listed);
    tcase_add_test(tc, tekken_wrong);
    tcase_add_test(tc, sentencepiece);
    tcase_add_test(tc, sentencepiece_settings);
    tcase_add_test(tc, sentencepiece_wrong);
    tcase_add_test(tc, ranks);
    tcase_add_test(tc, ranks_wrong);
    tcase_add_test(tc, json_pre_tokenizers);
    tcase_add_test(tc, json_tokens);
    tcase_add_test(tc, json_pieces);
    tcase_add_test(tc, json_not_understood);
    tcase_add_test(tc, json_pieces_not_understood);
    tcase_add_test(tc, json_wrong);
    tcase_add_test(tc, json_nul);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
