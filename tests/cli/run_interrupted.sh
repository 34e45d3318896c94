# Ctrl-C once: the answer ends with a line end, timings come, exit code 130.
"$MAKE_TINY" long.gguf --context 200000 || exit
python3 - <<'PY'
import os, signal, subprocess
p = subprocess.Popen([os.environ["Q35RT"], "-m", "long.gguf", "--ids", "5,6,7", "-n", "-1", "-c", "200000",
                      "--ignore-eos"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
first = p.stdout.read(1)
p.send_signal(signal.SIGINT)
out, err = p.communicate(timeout=120)
print(p.returncode, out.endswith(b"\n"), b"stopped: interrupted" in err, b"tok/s" in err)
PY
