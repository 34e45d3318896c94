# SPDX-License-Identifier: Apache-2.0
# Reads plugin.h and writes a C program that prints every struct field ("struct.field offset size") and every id
# ("name = value"). The program fails when the fields of a struct do not add up to its size, so a field this script
# cannot read is noticed.
BEGIN {
    print "/* generated from plugin.h by layout.awk */"
    print "#include <q35rt/plugin.h>"
    print "#include <stdio.h>"
    print "static int bad;"
    print "static void end(const char *name, size_t sum, size_t size)\n{"
    print "    printf(\"%s = %zu\\n\", name, size);"
    print "    if (sum != size) {"
    print "        printf(\"%s: fields add up to %zu bytes, the struct has %zu\\n\", name, sum, size);"
    print "        bad = 1;\n    }\n}"
    print "#define FIELD(s, f) (printf(\"%s.%s %zu %zu\\n\", #s, #f, offsetof(s, f), sizeof(((s *)0)->f)), sizeof(((s *)0)->f))"
    print "#define ID(name) printf(\"%s = %lu\\n\", #name, (unsigned long)(name))"
    print "#define STATUS(name, value, text) ID(Q35_E_##name);"
    print "int main(void)\n{\n    size_t sum;\n    Q35_STATUS_MAP(STATUS)"
}
{
    line = line " " $0
    gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, "", line)
    if (line ~ /\/\*/)
        next # inside a comment
    text = line
    line = ""
}
text !~ /^ *#/ {
    rest = text
    while (match(rest, /Q35_[A-Z0-9_]+ = /)) {
        printf "    ID(%s);\n", substr(rest, RSTART, RLENGTH - 3)
        rest = substr(rest, RSTART + RLENGTH)
    }
}
text ~ /typedef struct q35_[a-z_]+ \{/ {
    match(text, /q35_[a-z_]+/)
    name = substr(text, RSTART, RLENGTH)
    body = ""
    next
}
name != "" && text ~ /^ *\} *q35_[a-z_]+;/ {
    print "    sum = 0;"
    n = split(body, declarations, ";")
    for (i = 1; i <= n; i++) {
        d = declarations[i]
        if (d ~ /^[ \t]*$/)
            continue
        if (match(d, /\(\*[a-z_0-9]+\)/)) {
            emit(substr(d, RSTART + 2, RLENGTH - 3))
            continue
        }
        m = split(d, names, ",")
        for (k = 1; k <= m; k++) {
            sub(/\[.*/, "", names[k])
            match(names[k], /[A-Za-z_0-9]+[ \t]*$/)
            f = substr(names[k], RSTART, RLENGTH)
            gsub(/[ \t]/, "", f)
            emit(f)
        }
    }
    printf "    end(\"%s\", sum, sizeof(%s));\n", name, name
    name = ""
    next
}
name != "" { body = body " " text }
function emit(field) { printf "    sum += FIELD(%s, %s);\n", name, field }
END { print "    return bad;\n}" }
