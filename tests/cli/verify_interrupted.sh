# Ctrl-C ends verify and inspect at once, also when nobody takes their output.
"$MAKE_TINY" many.gguf --layers 200 || exit
"$Q35RT" convert many.gguf many-q35.gguf --no-calibration --codec split -q || exit
python3 - <<'PY'
import os, signal, subprocess
for args in (["verify", "many-q35.gguf"], ["inspect", "many-q35.gguf", "--json"]):
    p = subprocess.Popen([os.environ["Q35RT"], *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.read(1)
    p.send_signal(signal.SIGINT)
    p.wait(timeout=60)
    print(args[0], p.returncode == -signal.SIGINT, p.stderr.read())
PY
