# Ctrl-C while a prompt or text that nobody writes is being opened: exit code 130, no message.
mkfifo nobody
python3 - <<'PY'
import os, signal, subprocess, time
tiny = os.environ["TINY"]

def waits(pid):
    """Handles SIGINT already, and sleeps."""
    status = dict(l.split(":\t", 1) for l in open(f"/proc/{pid}/status").read().splitlines() if ":\t" in l)
    return status["State"].startswith("S") and int(status["SigCgt"], 16) >> (signal.SIGINT - 1) & 1

for args in (["run", "-m", tiny, "-f", "nobody"], ["eval", "-m", tiny, "-f", "nobody"],
             ["convert", tiny, "out.gguf", "--calibration", "nobody"]):
    p = subprocess.Popen([os.environ["Q35RT"], *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    seen = 0
    while seen < 10:
        seen = seen + 1 if waits(p.pid) else 0
        time.sleep(0.02)
    p.send_signal(signal.SIGINT)
    print(args[0], p.communicate(timeout=60), p.returncode)
PY
