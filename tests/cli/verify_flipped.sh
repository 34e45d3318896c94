# One flipped byte in a 3.5-bit tensor is found: exit code 1, and the tensor is named.
"$Q35RT" convert "$TINY" a.gguf --no-calibration -q || exit
"$Q35RT" verify a.gguf -q
python3 - <<'PY'
import os, subprocess
data = bytearray(open("a.gguf", "rb").read())
found = 0
for part in range(40, 100, 5):  # spread over the tensor data
    at = len(data) * part // 100
    data[at] ^= 0x10
    open("flipped.gguf", "wb").write(data)
    data[at] ^= 0x10
    p = subprocess.run([os.environ["Q35RT"], "verify", "-q", "flipped.gguf"], capture_output=True, text=True)
    if p.returncode == 1 and "FAILED" in p.stdout and p.stderr.startswith("q35rt: "):
        found += 1
print("found" if found >= 6 else found)
PY
