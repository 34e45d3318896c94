# Ctrl-C while converting: exit code 130 and no output, whenever it comes.
"$MAKE_TINY" big.gguf --layers 12 --hidden 512 --heads 8 --head-dim 64 --ffn 2048 || exit
python3 - <<'PY'
import os, signal, subprocess, time
for delay in (0.1, 0.3, 0.6):
    p = subprocess.Popen([os.environ["Q35RT"], "convert", "big.gguf", "out.gguf", "--no-calibration", "-q"])
    time.sleep(delay)
    p.send_signal(signal.SIGINT)
    code = p.wait()
    done = os.path.exists("out.gguf")  # finished before the signal came: then it is whole
    print("ok" if code == (0 if done else 130) and sorted(os.listdir()) in (["big.gguf"], ["big.gguf", "out.gguf"])
          else (code, os.listdir()))
    if done:
        os.remove("out.gguf")
PY
